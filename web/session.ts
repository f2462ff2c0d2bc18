/**
 * The session: the one-time code of the terminal's link, or a user name with its password, is exchanged for a session
 * that is kept for this tab only. All API requests use `send`: it renews the access token before it expires and turns a
 * refusal into an `ApiError`.
 */
import { signal } from '@preact/signals'

interface Tokens {
  access_token: string
  refresh_token: string
  /** Local time in ms since 1970. */
  ends_at: number
}

export type SessionState = 'starting' | 'open' | 'none' | 'refused'

export const session = signal<SessionState>('starting')
/** Why a link did not open a session. */
export const refusal = signal<string | null>(null)

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

/** Redeems the code in the address, or restores the session of this tab. */
export async function openSession(): Promise<void> {
  const code = /^#code=(.+)$/.exec(location.hash)?.[1]
  if (code) {
    // The address is visible on screens and kept in histories.
    history.replaceState(null, '', location.pathname)
    try {
      keep(await post('/api/auth/exchange', { code }))
    } catch (error) {
      // A reload with a used link: the session of this tab may still be valid.
      if (!stored()) refusal.value = (error as Error).message
    }
  }
  session.value = stored() ? 'open' : refusal.value ? 'refused' : 'none'
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
  session.value = 'none'
}

/** Resolves with the response's JSON, or its text. Throws ApiError. Closes the session on status 401. */
export async function send<T>(
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<T> {
  const token = await accessToken()
  const response = await fetch(path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  if (response.status === 401) closeSession()
  return read<T>(response)
}

async function accessToken(): Promise<string> {
  const tokens = stored()
  if (!tokens) throw new ApiError(401, 'there is no session', 'open the link that the terminal shows')
  if (tokens.ends_at - EARLY_MS > Date.now()) return tokens.access_token
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

async function post(path: string, body: unknown): Promise<Tokens & { expires_in: number }> {
  const headers = { 'content-type': 'application/json' }
  return read(await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) }))
}

async function read<T>(response: Response): Promise<T> {
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  const answer = isJson ? await response.json().catch(() => undefined) : await response.text()
  if (response.ok) return answer as T
  const { message = `the server answered ${response.status}`, hint = '' } = (isJson && answer?.error) || {}
  throw new ApiError(response.status, message, hint)
}

const keep = ({ access_token, refresh_token, expires_in }: Tokens & { expires_in: number }): void =>
  sessionStorage.setItem(KEY, JSON.stringify({ access_token, refresh_token, ends_at: Date.now() + expires_in * 1000 }))

function stored(): Tokens | undefined {
  const text = sessionStorage.getItem(KEY)
  return text ? (JSON.parse(text) as Tokens) : undefined
}
