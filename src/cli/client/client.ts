/** The HTTP client of commands: of the server at IRON_CAGE_URL, otherwise of the one that uses the database of this folder. */
import { setTimeout as wait } from 'node:timers/promises'
import { readServerFile } from '../../access/server-file.ts'
import type { SessionTokens } from '../../access/sessions.ts'
import { isBeforeSending } from '../../breaker/retry.ts'
import { backoffMs } from '../../core/backoff.ts'
import { CageError, ERRORS, type ErrorCode } from '../../core/errors.ts'
import type { Snapshot } from '../../state/snapshot.ts'
import type { Terminal } from '../output/terminal.ts'
import type { ConfigFlags } from '../settings/flags.ts'
import { readConfig } from '../settings/read-config.ts'
import { type HttpReply, HttpTimeoutError, sendRequest } from './http-request.ts'
import { savedAccessToken } from './saved-tokens.ts'

export interface ClientFlags extends ConfigFlags {
  db?: string
}

/** What `GET /api/snapshot` answers. */
export interface SnapshotResponse {
  server_time: string
  snapshot: Snapshot
}

export interface ApiClient {
  /** The database that it reads because no server runs. */
  readonly file?: string
  /** Returns the body of the reply. Throws CageError `server_unreachable` after three attempts, and the error that the server answered. */
  send<Body>(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<Body>
}

const TRIES = 3
const BACKOFF = { firstMs: 200, factor: 3 }
/** How long a server may take to listen. */
const MAX_WAIT_MS = 10_000
const POLL_INTERVAL_MS = 50
/** Reads are quick; a stop is answered when the agent has ended, which may take its whole grace period. */
const READ_TIMEOUT_MS = 30_000
const CHANGE_TIMEOUT_MS = 660_000

/** Looks the server up at each attempt, so that one that is just starting is found. */
export const connect = (flags: ClientFlags, terminal: Terminal): ApiClient => clientOf(serverFinder(flags, terminal))

/** Signs in to the server that IRON_CAGE_URL or the database names. Needs no token. */
export async function signIn(flags: ClientFlags, terminal: Terminal, body: Login): Promise<SignedIn> {
  const address = serverAddress(terminal)
  const database = address === undefined ? await databaseOf(flags, terminal) : ''
  const find = async () => ({ url: address ?? (await serverOf(database)).url, token: undefined })
  const tokens = await clientOf(find).send<SessionTokens>('POST', '/api/auth/login', body)
  return { ...tokens, url: (await find()).url }
}

/** Signs in with the one-time code of a link. Throws CageError `usage` for another text. */
export async function signInWithLink(link: string): Promise<SignedIn> {
  const url = /^https?:\/\//.test(link) && URL.canParse(link) ? new URL(link) : undefined
  const code = /^#code=(.+)$/.exec(url?.hash ?? '')?.[1]
  if (!url || code === undefined) {
    throw new CageError('usage', '--link: expected a link such as http://localhost:8090/#code=…', {
      hint: 'put it in quotes',
    })
  }
  const find = async () => ({ url: url.origin, token: undefined })
  const tokens = await clientOf(find).send<SessionTokens>('POST', '/api/auth/exchange', { code })
  return { ...tokens, url: url.origin }
}

export interface Login {
  username: string
  password: string
}

export interface SignedIn extends SessionTokens {
  url: string
}

/** The client of the server that uses this database, independent of IRON_CAGE_URL. */
export const connectToDatabase = (path: string): ApiClient => clientOf(() => serverOf(path))

/** The dashboard's address with a one-time code. */
export async function dashboardLink(client: ApiClient): Promise<string> {
  const { snapshot } = await client.send<SnapshotResponse>('GET', '/api/snapshot')
  const { code } = await client.send<{ code: string }>('POST', '/api/auth/code')
  return `${snapshot.server?.url ?? ''}/#code=${code}`
}

function clientOf(find: () => Promise<Server>): ApiClient {
  return {
    async send<Body>(method: string, path: string, body?: unknown): Promise<Body> {
      for (let attempt = 1; ; attempt++) {
        try {
          return (await sendOnce(await find(), method, path, body)) as Body
        } catch (error) {
          if (!(error instanceof NotConnected)) throw error
          if (attempt === TRIES) throw unreachable(error)
          await wait(backoffMs(attempt, BACKOFF))
        }
      }
    },
  }
}

interface Server {
  url: string
  token: string | undefined
}

/** Nothing was sent, so the request may be retried. */
class NotConnected extends Error {
  readonly hint: string | undefined
  constructor(message: string, hint?: string) {
    super(message)
    this.hint = hint
  }
}

function serverFinder(flags: ClientFlags, terminal: Terminal): () => Promise<Server> {
  const url = serverAddress(terminal)
  if (url === undefined) {
    let database: string | undefined
    return async () => {
      database ??= await databaseOf(flags, terminal)
      return serverOf(database)
    }
  }
  const renew = async (refresh_token: string) =>
    (await sendOnce({ url, token: undefined }, 'POST', '/api/auth/refresh', { refresh_token })) as SessionTokens
  return async () => ({ url, token: terminal.env.serverToken ?? (await savedAccessToken(url, terminal, renew)) })
}

const databaseOf = async (flags: ClientFlags, terminal: Terminal): Promise<string> =>
  (await readConfig(flags, terminal)).config.db.path

/** The value of IRON_CAGE_URL. Throws CageError `invalid_config` when it is no address. */
function serverAddress({ env: { serverUrl } }: Terminal): string | undefined {
  if (serverUrl === undefined) return undefined
  if (/^https?:\/\/[^/]/.test(serverUrl) && URL.canParse(serverUrl)) return serverUrl.replace(/\/+$/, '')
  throw new CageError('invalid_config', `IRON_CAGE_URL: expected an http or https address, got "${serverUrl}"`, {
    hint: 'write it as http://127.0.0.1:8080',
  })
}

/** Waits for a server that has claimed the database but does not listen yet. */
async function serverOf(database: string): Promise<Server> {
  for (let waitedMs = 0; ; waitedMs += POLL_INTERVAL_MS) {
    const file = await readServerFile(database)
    if (!file) throw new NotConnected(`no server is running for ${database}`)
    if (file.url) return file
    if (waitedMs >= MAX_WAIT_MS) throw new NotConnected(`the server of ${database} is not ready`)
    await wait(POLL_INTERVAL_MS)
  }
}

async function sendOnce({ url, token }: Server, method: string, path: string, body: unknown): Promise<unknown> {
  const timeoutMs = method === 'GET' ? READ_TIMEOUT_MS : CHANGE_TIMEOUT_MS
  let reply: HttpReply
  try {
    reply = await sendRequest(url + path, {
      method,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      timeoutMs,
    })
  } catch (error) {
    throw connectionError(url, timeoutMs, error as NodeJS.ErrnoException)
  }
  return readApiReply(url, reply)
}

/** Returns the body of a reply, a page as text. Throws the error that it holds, and CageError `server_unreachable` when it is not from Iron Cage. */
export function readApiReply(url: string, { status, type, text }: HttpReply): unknown {
  const isOk = status >= 200 && status < 300
  const answer = isOk && type.startsWith('text/html') ? text : jsonIn(text)
  if (!isOk) throw repliedError(url, status, answer)
  // Another program's server may answer 200 as well, but not in JSON.
  if (answer === undefined && status !== 204) throw notOurs(url, status)
  return answer
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Nothing was sent to an address that is refused or unknown; after any other fault the server may have acted. */
function connectionError(url: string, timeoutMs: number, error: NodeJS.ErrnoException): Error {
  const { code, syscall } = error
  if (code && (isBeforeSending(code) || syscall === 'connect')) {
    return new NotConnected(`no server answers at ${url} (${code}), tried ${TRIES} times`, AT_ADDRESS)
  }
  return new CageError(
    'server_unreachable',
    error instanceof HttpTimeoutError
      ? `the server at ${url} did not answer within ${timeoutMs / 1000} s`
      : `the connection to ${url} broke (${code ?? error.message})`,
    { cause: error, hint: 'check with "iron-cage status" whether it was done' },
  )
}

const unreachable = ({ message, hint }: NotConnected): CageError =>
  new CageError('server_unreachable', message, { hint })

const AT_ADDRESS = 'start one there with "iron-cage serve" or "iron-cage panel", or change IRON_CAGE_URL'

const notOurs = (url: string, status: number): CageError =>
  new CageError('server_unreachable', `what answers at ${url} is not Iron Cage (status ${status})`)

function repliedError(url: string, status: number, answer: unknown): CageError {
  const error = (answer as { error?: Record<string, unknown> } | undefined)?.error
  if (typeof error?.code !== 'string' || typeof error.message !== 'string') return notOurs(url, status)
  const known = Object.hasOwn(ERRORS, error.code) ? (error.code as ErrorCode) : undefined
  return new CageError(known ?? codeOfStatus(status), error.message, {
    hint: typeof error.hint === 'string' ? error.hint : undefined,
    facts: { request: typeof error.request_id === 'string' ? error.request_id : undefined },
  })
}

/** For an error code that only a newer server has. */
function codeOfStatus(status: number): ErrorCode {
  const codes: Record<number, ErrorCode> = { 401: 'unauthorized', 403: 'forbidden', 404: 'not_found', 409: 'conflict' }
  return codes[status] ?? (status < 500 ? 'bad_request' : 'internal')
}
