/** The session on a Control Panel, kept as long as this tab is open. */
import { signal } from '@preact/signals'
import { ApiError } from '../session.ts'

const KEY = 'iron-cage-panel'

export const token = signal<string | null>(sessionStorage.getItem(KEY))
export const isAdmin = signal(true)

/** Uses the code of the link that was opened, if there is one. */
export async function openSession(): Promise<void> {
  const code = /^#code=(.+)$/.exec(location.hash)?.[1]
  if (code === undefined) return
  // A code works once: a reload must not send it again.
  history.replaceState(null, '', location.pathname)
  try {
    const session = await send<{ token: string; role: string }>('POST', '/api/auth/exchange', { code })
    keep(session.token)
    isAdmin.value = session.role === 'admin'
  } catch {
    keep(null)
  }
}

/** Rejects with ApiError for a token that does not work. */
export async function signInWithToken(typed: string): Promise<void> {
  keep(typed)
  try {
    await send('GET', '/api/fleet')
  } catch (error) {
    keep(null)
    throw error
  }
}

/** Rejects with ApiError; an ended session leads back to the sign-in form. */
export async function send<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> {
  const response = await fetch(path, {
    method,
    headers: {
      ...(token.value !== null && { authorization: `Bearer ${token.value}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const text = await response.text()
  if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as T
  if (response.status === 401) keep(null)
  const { message, hint } = (JSON.parse(text) as { error: { message: string; hint: string } }).error
  throw new ApiError(response.status, message, hint)
}

function keep(next: string | null): void {
  token.value = next
  if (next === null) sessionStorage.removeItem(KEY)
  else sessionStorage.setItem(KEY, next)
}
