/**
 * Signing in at an identity provider. It sends the browser back to this page with an answer in the address, which only the
 * tab that went there can redeem: the secret of the sign-in is kept for that tab.
 */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { Action, faultText } from '../parts/parts.tsx'
import { type OpenedSession, post, read, redeemLink } from '../session.ts'

const KEY = 'iron-cage-provider-sign-in'

/** The values that a tab leaves here when it goes to the provider. */
interface Left {
  secret: string
  /** The view to come back to. */
  hash: string
}

/** Nothing without an identity provider. */
export function ProviderSignIn() {
  const provider = useSignal<string | null>(null)
  const organization = useSignal('default')
  useEffect(() => {
    fetch('/api/auth/oidc')
      .then((response) => read<{ name: string | null }>(response))
      // Without an answer the form for the password shows the reason.
      .then(
        ({ name }) => (provider.value = name),
        () => {},
      )
  }, [])
  if (!provider.value) return null
  const go = async () => {
    const body = { organization: organization.value }
    const { url, secret } = await post<{ url: string; secret: string }>('/api/auth/oidc/start', body)
    sessionStorage.setItem(KEY, JSON.stringify({ secret, hash: location.hash } satisfies Left))
    location.assign(url)
  }
  return (
    <div class="sign-in">
      <label>
        Organization
        <input
          value={organization.value}
          autocapitalize="none"
          spellcheck={false}
          onInput={({ currentTarget }) => (organization.value = currentTarget.value)}
        />
      </label>
      <Action label={`Sign in at ${provider.value}`} kind="primary" act={go} once />
    </div>
  )
}

/** Redeems the provider's answer, or a link of the terminal; undefined if the address has neither. */
export async function redeemAddress(): ReturnType<typeof redeemLink> {
  const query = new URLSearchParams(location.search)
  if (!query.has('state')) return redeemLink()
  const left = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Left | null
  sessionStorage.removeItem(KEY)
  history.replaceState(null, '', location.pathname + (left?.hash ?? ''))
  dispatchEvent(new Event('hashchange'))
  const title = 'The sign-in failed'
  if (!left) return { title, text: 'It began in another tab, or has already ended.' }
  return post<OpenedSession>('/api/auth/oidc/finish', { secret: left.secret, answer: query.toString() }).catch(
    (error: unknown) => ({ title, text: faultText(error) }),
  )
}
