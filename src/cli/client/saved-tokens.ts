/**
 * `~/.iron/tokens`: values that are shown only once, readable by this user only (0600). One JSON object per line: API tokens as
 * {id, name, token}, and one login for each server as {url, name, role, access_token, refresh_token, ends_at}.
 */
import {
  appendFileSync,
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { ApiToken } from '../../access/api-tokens.ts'
import type { SessionTokens } from '../../access/sessions.ts'
import { CageError } from '../../core/errors.ts'
import type { Terminal } from '../output/terminal.ts'

interface SavedLogin {
  url: string
  name: string
  role: string
  access_token: string
  refresh_token: string
  /** When the access token expires, by this machine's clock. ISO 8601. */
  ends_at: string
}

/** How long before its end a login is renewed, in ms. */
const RENEW_BEFORE_MS = 60_000
/** A lock that is older was left by a killed command, in ms. */
const MAX_LOCK_AGE_MS = 40_000

/** Returns the path of the file. */
export function saveToken({ id, name, token }: ApiToken & { token: string }, terminal: Terminal): string {
  const path = tokensPath(terminal)
  appendFileSync(path, `${JSON.stringify({ id, name, token })}\n`, { mode: 0o600 })
  chmodSync(path, 0o600)
  return path
}

/** Replaces an earlier login at the same server. Returns the path of the file. */
export function saveLogin(url: string, tokens: SessionTokens, terminal: Terminal): string {
  const { name, role, access_token, refresh_token, expires_in } = tokens
  const ends_at = new Date(Date.now() + expires_in * 1000).toISOString()
  return replaceLogin(url, { url, name, role, access_token, refresh_token, ends_at }, terminal)
}

/**
 * The access token of the login at this server, renewed by `renew` when it is about to end; undefined without a login. A
 * refresh token works once, so that commands that run at the same time renew one after the other. Throws CageError
 * `unauthorized` when the login has ended.
 */
export async function savedAccessToken(
  url: string,
  terminal: Terminal,
  renew: (refreshToken: string) => Promise<SessionTokens>,
): Promise<string | undefined> {
  const lasts = ({ ends_at }: SavedLogin) => Date.parse(ends_at) - RENEW_BEFORE_MS > Date.now()
  const before = findLogin(url, terminal)
  if (!before || lasts(before)) return before?.access_token
  const release = await lock(`${tokensPath(terminal)}.lock`)
  try {
    const login = findLogin(url, terminal)
    if (!login || lasts(login)) return login?.access_token
    const tokens = await renew(login.refresh_token).catch((error: unknown) => {
      if (!(error instanceof CageError && error.code === 'unauthorized')) throw error
      replaceLogin(url, undefined, terminal)
      throw new CageError('unauthorized', `the login of ${login.name} at ${url} has ended`, {
        hint: 'sign in again with "iron-cage login"',
      })
    })
    saveLogin(url, tokens, terminal)
    return tokens.access_token
  } finally {
    release()
  }
}

function tokensPath({ env }: Terminal): string {
  const folder = join(env.variables.HOME ?? '.', '.iron')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return join(folder, 'tokens')
}

const findLogin = (url: string, terminal: Terminal): SavedLogin | undefined =>
  readLines(tokensPath(terminal)).find((line): line is SavedLogin => 'refresh_token' in line && line.url === url)

function replaceLogin(url: string, login: SavedLogin | undefined, terminal: Terminal): string {
  const path = tokensPath(terminal)
  const others = readLines(path).filter((line) => !('refresh_token' in line && line.url === url))
  const text = [...others, ...(login ? [login] : [])].map((line) => `${JSON.stringify(line)}\n`).join('')
  const draft = `${path}.${process.pid}`
  appendFileSync(draft, text, { mode: 0o600 })
  renameSync(draft, path)
  return path
}

function readLines(path: string): (SavedLogin | { token: string })[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return []
  }
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as SavedLogin]
    } catch {
      return []
    }
  })
}

/** Waits until the lock is free. Returns a function that releases it. */
async function lock(path: string): Promise<() => void> {
  for (;;) {
    try {
      closeSync(openSync(path, 'wx', 0o600))
      return () => rmSync(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const since = statSync(path, { throwIfNoEntry: false })?.mtimeMs
    if (since !== undefined && Date.now() - since > MAX_LOCK_AGE_MS) rmSync(path, { force: true })
    else await wait(50)
  }
}
