/** A real OpenID Connect provider, which can be made to lie, and a browser's way through its forms. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import Provider from 'oidc-provider'
import { onTestFinished } from 'vitest'

export type Claims = Record<string, unknown>

interface Lies {
  /** Changes the claims of each id token, which is signed with the provider's own key. (Default: nothing.) */
  claims?: (claims: Claims) => Claims
  /** More fields of its configuration document. (Default: nothing.) */
  configuration?: Claims
}

/** Knows carol, and mallory, who claims to have carol's address. `codesAsked`: how often a code was to be exchanged. */
export async function openProvider({ claims: lie = (claims) => claims, configuration = {} }: Lies = {}) {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const jwk = { ...(await exportJWK(privateKey)), kid: 'one', use: 'sig', alg: 'RS256' }
  const server = createServer((request, response) => answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const people: Record<string, Claims> = {
    carol: { email: 'Carol@example.com', email_verified: true },
    mallory: { email: 'carol@example.com', email_verified: false },
  }
  const provider = new Provider(issuer, {
    clients: [
      { client_id: 'panel', client_secret: 'secret', redirect_uris: ['http://127.0.0.1/'], application_type: 'native' },
    ],
    jwks: { keys: [jwk] },
    cookies: { keys: ['a key of this test'] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
    features: { devInteractions: { enabled: true } },
  })
  const opened = { issuer, codesAsked: 0 }
  provider.use(async (context, next) => {
    await next()
    if (context.path === '/.well-known/openid-configuration') Object.assign(context.body, configuration)
    if (context.path !== '/token') return
    opened.codesAsked += 1
    const { id_token: token } = context.body
    if (typeof token !== 'string') return
    const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as Claims
    context.body.id_token = await new SignJWT(lie(claims))
      .setProtectedHeader({ alg: 'RS256', kid: 'one' })
      .sign(privateKey)
  })
  const answer = provider.callback()
  return opened
}

/** Signs in as a browser does, with the provider's own forms. Returns the query with which it is sent back. */
export async function signInAt(url: string, name: string): Promise<string> {
  const cookies = new Map<string, string>()
  let [method, body, next] = ['GET', null as string | null, url]
  for (let step = 0; step < 12; step++) {
    const response = await fetch(next, {
      method,
      body,
      redirect: 'manual',
      headers: {
        cookie: [...cookies].map(([key, value]) => `${key}=${value}`).join('; '),
        ...(body !== null && { 'content-type': 'application/x-www-form-urlencoded' }),
      },
    })
    for (const line of response.headers.getSetCookie()) {
      const [pair] = line.split(';')
      const at = pair!.indexOf('=')
      cookies.set(pair!.slice(0, at), pair!.slice(at + 1))
    }
    const location = response.headers.get('location')
    if (location) {
      const target = new URL(location, next)
      if (target.pathname === '/' && target.search) return target.search.slice(1)
      ;[method, body, next] = ['GET', null, target.href]
      continue
    }
    const page = await response.text()
    const action = /action="([^"]+)"/.exec(page)?.[1]
    const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1]
    if (!action || !prompt) throw new Error(page)
    const fields = new URLSearchParams({ prompt, ...(prompt === 'login' && { login: name, password: 'any' }) })
    ;[method, body, next] = ['POST', fields.toString(), new URL(action, next).href]
  }
  throw new Error('the provider sent the browser around in circles')
}
