/** Access tokens of Google, which it gives for the key of a service account: the JSON file that its console creates. */
import { importPKCS8, SignJWT } from 'jose'
import { CageError } from '../../core/errors.ts'
import { openPool } from '../../core/http-pools.ts'
import type { SignedProvider, Signer } from './signer.ts'

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform'
const TIMEOUT_MS = 10_000
/** A token is renewed this long before it ends. */
const MARGIN_MS = 5 * 60_000

interface Account {
  client_email: string
  private_key: string
  private_key_id?: string
  token_uri: string
}

interface AccessToken {
  value: string
  expiresAtMs: number
}

export function googleTokenSigner(provider: SignedProvider): Signer {
  const { clock } = provider
  let [usedKey, token] = ['', undefined as Promise<AccessToken> | undefined]
  const renewed = (key: string): Promise<AccessToken> => {
    usedKey = key
    token = fetchToken(provider, readAccount(provider.name, key))
    // The next call tries again.
    token.catch(() => {
      token = undefined
    })
    return token
  }
  return {
    async authorize(_request, key) {
      let current = token && usedKey === key ? await token : await renewed(key)
      if (current.expiresAtMs - MARGIN_MS < clock.now()) current = await renewed(key)
      return { authorization: `Bearer ${current.value}` }
    },
  }
}

function readAccount(provider: string, key: string): Account {
  try {
    const account = JSON.parse(key) as Account
    if (account.client_email && account.private_key && URL.canParse(account.token_uri)) return account
  } catch {
    // The same as JSON of anything else.
  }
  throw new CageError('provider_key_missing', `the key of ${provider} is not the JSON of a service account`, {
    facts: { provider },
    hint: 'store the file that Google’s console creates: iron-cage secrets set GOOGLE_APPLICATION_CREDENTIALS_JSON',
  })
}

/** Rejects with CageError `provider_unreachable`. */
async function fetchToken({ name, clock, network }: SignedProvider, account: Account): Promise<AccessToken> {
  const url = new URL(account.token_uri)
  const pool = openPool(url.origin, network, { connections: 1, connectTimeoutMs: TIMEOUT_MS })
  const nowMs = clock.now()
  try {
    const assertion = await assertionOf(account, Math.floor(nowMs / 1000))
    const { statusCode, body } = await pool.request({
      path: url.pathname + url.search,
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `${new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion })}`,
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
    })
    const answer = (await body.json()) as { access_token?: string; expires_in?: number }
    if (statusCode !== 200 || !answer.access_token) throw new Error(`the token server answered ${statusCode}`)
    return { value: answer.access_token, expiresAtMs: nowMs + (answer.expires_in ?? 0) * 1000 }
  } catch (error) {
    const why = `there is no access token for ${name}: ${(error as Error).message}`
    throw new CageError('provider_unreachable', why, { facts: { provider: name, sent: false }, cause: error })
  } finally {
    await pool.destroy()
  }
}

const assertionOf = async ({ client_email, private_key, private_key_id, token_uri }: Account, nowS: number) =>
  new SignJWT({ scope: SCOPE })
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT', ...(private_key_id && { kid: private_key_id }) })
    .setIssuer(client_email)
    .setAudience(token_uri)
    .setIssuedAt(nowS)
    .setExpirationTime(nowS + 3_600)
    .sign(await importPKCS8(private_key, 'RS256'))
