/**
 * The session: the one-time code of the terminal's link, or a user name with its password, is exchanged for a session
 * that is kept for this tab only; another tab of the same browser gets its own session from a tab that has one. All API
 * requests use `send`: it renews the access token before it expires, and once more when a restarted server refuses it,
 * and turns a refusal into an `ApiError`.
 */
import { computed, signal } from '@preact/signals'

/** The response of the routes that open or renew a session. */
export interface OpenedSession {
  access_token: string
  refresh_token: string
  /** Seconds. */
  expires_in: number
  role: 'admin' | 'viewer'
  name: string
}

interface Tokens extends Omit<OpenedSession, 'expires_in'> {
  /** Local time in ms since 1970. */
  ends_at: number
}

export type SessionState = 'starting' | 'open' | 'none' | 'refused'

export const session = signal<SessionState>('starting')
/** Why the address did not open a session. */
export const refusal = signal<{ title: string; text: string } | null>(null)
/** Who is signed in; null without a session. */
const person = signal<Pick<Tokens, 'role' | 'name'> | null>(null)
/** Viewers are not shown what only admins may do. */
export const isAdmin = computed(() => person.value?.role === 'admin')
export const personName = computed(() => person.value?.name ?? '')

const KEY = 'iron-cage-session'
/** How long before its expiry the access token is renewed, in ms. */
const EARLY_MS = 60_000
let renewing: Promise<void> | undefined

export class ApiError extends Error {
  readonly status: number
  readonly hint: string
  constructor(status: number, message: string, hint: string) {
    super(message)
    this.status = status
    this.hint = hint
  }
}

/**
 * Opens a session with the code in the address, with that of this tab, or by asking another tab. `redeem`: the former.
 */
export async function openSession(redeem = redeemLink): Promise<void> {
  const tabs = new BroadcastChannel(KEY)
  shareWith(tabs)
  const redeemed = await redeem()
  if (redeemed && 'access_token' in redeemed) keep(redeemed)
  // A reload with a used link: the session of this tab may still be valid.
  else if (redeemed && !stored()) refusal.value = redeemed
  if (!stored()) await ask(tabs)
  const tokens = stored()
  person.value = tokens ?? null
  session.value = tokens ? 'open' : refusal.value ? 'refused' : 'none'
}

/** Redeems the code of the terminal's link; undefined without one in the address. */
export async function redeemLink(): Promise<OpenedSession | { title: string; text: string } | undefined> {
  const [, page, code] = /^#(?:(\/\w+)\?)?code=(.+)$/.exec(location.hash) ?? []
  if (!code) return undefined
  // The address is visible on screens and kept in histories.
  history.replaceState(null, '', page ? `#${page}` : location.pathname)
  dispatchEvent(new Event('hashchange'))
  return post('/api/auth/exchange', { code }).catch(() => ({
    title: 'This link no longer works',
    text: 'It has expired or was already used.',
  }))
}

/** A tab that is in the background may answer late. */
const OTHER_TABS_MS = 700

/** Between tabs of this origin only: a request for a session, or the answer to one. */
interface TabMessage {
  /** Names the tab that asks. */
  to: string
  /** The answer; absent in a request. */
  opened?: OpenedSession
}

/** Answers requests of new tabs with a session for each. */
function shareWith(tabs: BroadcastChannel): void {
  tabs.addEventListener('message', async ({ data: { to, opened } }: MessageEvent<TabMessage>) => {
    if (opened || session.value !== 'open') return
    const answer = await send<OpenedSession>('POST', '/api/auth/tab').catch(() => null)
    if (answer) tabs.postMessage({ to, opened: answer } satisfies TabMessage)
  })
}

function ask(tabs: BroadcastChannel): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const to = crypto.randomUUID()
  const listen = ({ data }: MessageEvent<TabMessage>) => {
    if (data.to !== to || !data.opened) return
    keep(data.opened)
    resolve()
  }
  tabs.addEventListener('message', listen)
  tabs.postMessage({ to } satisfies TabMessage)
  const timer = setTimeout(resolve, OTHER_TABS_MS)
  return promise.finally(() => {
    clearTimeout(timer)
    tabs.removeEventListener('message', listen)
  })
}

/** Throws ApiError. */
export async function signIn(username: string, password: string): Promise<void> {
  keep(await post('/api/auth/login', { username, password }))
  refusal.value = null
  session.value = 'open'
}

/**
 * Ends the session here and on the server. Throws ApiError when the server does not respond; then the session
 * continues.
 */
export async function signOut(): Promise<void> {
  await send('POST', '/api/auth/logout')
  closeSession()
}

export function closeSession(): void {
  sessionStorage.removeItem(KEY)
  person.value = null
  session.value = 'none'
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** Resolves with the response's JSON, or its text. Throws ApiError. Closes the session when it cannot be renewed. */
export async function send<T>(method: Method, path: string, body?: unknown): Promise<T> {
  return read<T>(await sendRaw(method, path, body))
}

/** Like `send`, with the response unread, at any status but 401. */
export async function sendRaw(method: Method, path: string, body?: unknown): Promise<Response> {
  const request = (token: string) =>
    fetch(path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
  const used = await accessToken()
  const response = await request(used)
  if (response.status !== 401) return response
  // A server that was restarted with a locked vault refuses earlier access tokens, but not the refresh token.
  return request(await accessToken(used))
}

/** `refused`: an access token that the server does not accept. */
async function accessToken(refused?: string): Promise<string> {
  const tokens = stored()
  if (!tokens) throw new ApiError(401, 'there is no session', 'open the link that the terminal shows')
  if (tokens.ends_at - EARLY_MS > Date.now() && tokens.access_token !== refused) return tokens.access_token
  // A refresh token works once: concurrent requests share one renewal.
  renewing ??= post('/api/auth/refresh', { refresh_token: tokens.refresh_token })
    .then(keep)
    .catch((error: unknown) => {
      if (error instanceof ApiError && error.status === 401) closeSession()
      throw error
    })
    .finally(() => {
      renewing = undefined
    })
  await renewing
  return stored()!.access_token
}

/** Without a session. Throws ApiError. */
export async function post<T = OpenedSession>(path: string, body: unknown): Promise<T> {
  const headers = { 'content-type': 'application/json' }
  return read<T>(await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) }))
}

export async function read<T>(response: Response): Promise<T> {
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  const answer = isJson ? await response.json().catch(() => undefined) : await response.text()
  if (response.ok) return answer as T
  const { message = `the server answered ${response.status}`, hint = '' } = (isJson && answer?.error) || {}
  throw new ApiError(response.status, message, hint)
}

function keep({ expires_in, ...tokens }: OpenedSession): void {
  const kept: Tokens = { ...tokens, ends_at: Date.now() + expires_in * 1000 }
  sessionStorage.setItem(KEY, JSON.stringify(kept))
  person.value = kept
}

function stored(): Tokens | undefined {
  const text = sessionStorage.getItem(KEY)
  return text ? (JSON.parse(text) as Tokens) : undefined
}
