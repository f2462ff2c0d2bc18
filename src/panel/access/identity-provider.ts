/**
 * An OpenID Connect provider, by authorization code with PKCE, state and nonce. The library checks every answer; it is
 * loaded with the first sign-in. All three values are derived from one secret that the browser keeps: another browser has
 * no use for the answer, and nothing that is stored here has.
 */
import { createHmac } from 'node:crypto'
import type * as OpenIdClient from 'openid-client'
import { isLoopback } from '../../access/localhost.ts'
import type { Clock } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { isStorable } from '../../http/body.ts'

export interface IdentityProviderOptions {
  /** Its address, as its configuration document names it. */
  issuer: string
  clientId: string
  /** Of a confidential client. (Default: a public one, which has PKCE alone.) */
  clientSecret?: string | undefined
}

/** The beginning of a sign-in. */
export interface SignInFlow {
  secret: string
  redirectUri: string
}

/** Somebody whom the provider vouches for. */
export interface Identified {
  issuer: string
  subject: string
  /** The address that the provider has verified; undefined for none. */
  verifiedEmail(): Promise<string | undefined>
}

interface Opened {
  client: typeof OpenIdClient
  config: OpenIdClient.Configuration
  /** On the monotonic clock, in ms. */
  at: number
}

/** Of each request to the provider. */
const TIMEOUT_S = 10
/** How long the provider's configuration document is used. */
const CONFIGURATION_MS = 3_600_000

export class IdentityProvider {
  readonly #options: IdentityProviderOptions
  readonly #clock: Clock
  #opened: Promise<Opened> | undefined

  /** Throws CageError `usage` for an issuer that is not reached over https; only one on this machine may be. */
  constructor(options: IdentityProviderOptions, clock: Clock) {
    if (!isPrivate(options.issuer)) {
      throw new CageError('usage', `--oidc-issuer: expected an https address, got "${options.issuer}"`)
    }
    this.#options = options
    this.#clock = clock
  }

  /** The provider's host, for people. */
  get name(): string {
    return new URL(this.#options.issuer).host
  }

  /** Where the browser signs in. Throws CageError `identity_provider_unreachable`. */
  async addressFor({ secret, redirectUri }: SignInFlow): Promise<string> {
    const { client, config } = await this.#open()
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: redirectUri,
      scope: 'openid email',
      state: derived(secret, 'state'),
      nonce: derived(secret, 'nonce'),
      code_challenge: await client.calculatePKCECodeChallenge(derived(secret, 'verifier')),
      code_challenge_method: 'S256',
    })
    requirePrivate(url.href)
    return url.href
  }

  /**
   * Exchanges the code of `answer`, the query with which the browser came back. Throws CageError `unauthorized` for an
   * answer that is not to this sign-in, or not of this provider, or `identity_provider_unreachable`.
   */
  async identify({ secret, redirectUri }: SignInFlow, answer: string): Promise<Identified> {
    const { client, config } = await this.#open()
    try {
      const tokens = await client.authorizationCodeGrant(config, new URL(`?${answer}`, redirectUri), {
        expectedState: derived(secret, 'state'),
        expectedNonce: derived(secret, 'nonce'),
        pkceCodeVerifier: derived(secret, 'verifier'),
        idTokenExpected: true,
      })
      const { iss: issuer, sub: subject, ...claims } = tokens.claims()!
      if (!isStorable(subject)) throw new Error('it names somebody by what is no text')
      const verifiedEmail = async () => {
        if (claims.email !== undefined || !config.serverMetadata().userinfo_endpoint) return emailIn(claims)
        return emailIn(await client.fetchUserInfo(config, tokens.access_token, subject).catch(refuse))
      }
      return { issuer, subject, verifiedEmail }
    } catch (error) {
      return refuse(error)
    }
  }

  /** Reads the provider's configuration document, unless it was read in the last hour. */
  async #open(): Promise<Opened> {
    const opened = await this.#opened
    if (opened && this.#clock.monotonic() - opened.at < CONFIGURATION_MS) return opened
    const opening = this.#discover()
    this.#opened = opening
    // The next sign-in tries again.
    opening.catch(() => {
      if (this.#opened === opening) this.#opened = undefined
    })
    return opening
  }

  async #discover(): Promise<Opened> {
    const { issuer, clientId, clientSecret } = this.#options
    const client = await import('openid-client')
    const isPlain = new URL(issuer).protocol === 'http:'
    try {
      const config = await client.discovery(
        new URL(issuer),
        clientId,
        {},
        clientSecret === undefined ? client.None() : client.ClientSecretBasic(clientSecret),
        {
          timeout: TIMEOUT_S,
          [client.customFetch]: request,
          // The signature counts too, not only the encrypted connection that the token came through.
          execute: [client.enableNonRepudiationChecks, ...(isPlain ? [client.allowInsecureRequests] : [])],
        },
      )
      return { client, config, at: this.#clock.monotonic() }
    } catch (cause) {
      throw unreachable(`its configuration document cannot be used: ${reasonOf(cause)}`, cause)
    }
  }
}

/** 43 characters, as PKCE asks of a verifier at least. */
const derived = (secret: string, purpose: 'state' | 'nonce' | 'verifier'): string =>
  createHmac('sha256', secret).update(purpose).digest('base64url')

/** An address that the provider has not verified is none. */
function emailIn({ email, email_verified: isVerified }: Readonly<Record<string, unknown>>): string | undefined {
  return typeof email === 'string' && isVerified === true && isStorable(email) ? email.toLowerCase() : undefined
}

async function request(url: string, options: OpenIdClient.CustomFetchOptions): Promise<Response> {
  requirePrivate(url)
  let response: Response
  try {
    response = await fetch(url, options as RequestInit)
  } catch (cause) {
    throw unreachable(reasonOf(cause), cause)
  }
  if (response.status >= 500) throw unreachable(`it answered ${response.status}`)
  return response
}

function requirePrivate(url: string): void {
  if (!isPrivate(url)) throw unreachable(`its configuration document names ${url}, which is not https`)
}

/** Whether nobody reads along: https, or this machine. */
export function isPrivate(address: string): boolean {
  if (!URL.canParse(address)) return false
  const { protocol, hostname } = new URL(address)
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname.replace(/^\[(.*)\]$/, '$1')))
}

const unreachable = (reason: string, cause?: unknown): CageError =>
  new CageError('identity_provider_unreachable', `the identity provider cannot be used: ${reason}`, { cause })

/** Throws CageError: that of the request, or `unauthorized` for an answer that the library refuses. */
function refuse(error: unknown): never {
  for (let cause = error; cause instanceof Error; cause = cause.cause as Error) {
    if (cause instanceof CageError) throw cause
  }
  if ((error as { code?: string }).code === 'OAUTH_TIMEOUT') throw unreachable('it took too long', error)
  throw new CageError('unauthorized', `the identity provider's answer was refused: ${reasonOf(error)}`, {
    hint: 'sign in once more; if it is refused again, show this to whoever runs the panel',
    cause: error,
  })
}

/** The innermost message that names something: the outer ones only report that something went wrong. */
function reasonOf(error: unknown): string {
  const { message, code, cause } = error as Error & { code?: string }
  const inner = cause instanceof Error && !(cause instanceof CageError) ? reasonOf(cause) : undefined
  return inner || message || code || 'unknown'
}
