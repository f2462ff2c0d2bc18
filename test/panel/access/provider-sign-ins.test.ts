/** Signing in at an identity provider: a real one, also when it lies. */
import { expect, onTestFinished, test } from 'vitest'
import type { SessionTokens } from '../../../src/access/sessions.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { IdentityProvider } from '../../../src/panel/access/identity-provider.ts'
import { ProviderSignIns } from '../../../src/panel/access/provider-sign-ins.ts'
import { Fleet } from '../../../src/panel/bank/budgets.ts'
import { openPanelDatabase } from '../../../src/panel/db/open.ts'
import { temporaryFile } from '../../support/temporary-file.ts'
import { type Claims, openProvider, signInAt } from '../identity-provider.ts'
import { openTestPanel } from '../open-panel.ts'

async function openPanel(lies?: Parameters<typeof openProvider>[0]) {
  const provider = await openProvider(lies)
  const identityProvider = { issuer: provider.issuer, clientId: 'panel', clientSecret: 'secret' }
  const panel = await openTestPanel({ identityProvider })
  const origin = panel.url.replace('localhost', '127.0.0.1')
  const post = async (path: string, body: object, headers: Record<string, string> = { origin }) => {
    const response = await fetch(origin + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
    return { status: response.status, json: (await response.json()) as Record<string, never> }
  }
  const start = async (organization = 'default') =>
    (await post('/api/auth/oidc/start', { organization })).json as unknown as { url: string; secret: string }
  const finish = (secret: string, answer: string) => post('/api/auth/oidc/finish', { secret, answer })
  const add = (email: string | null, organizationId = panel.organizationId) =>
    panel.fleet.people.add({ organizationId, name: 'ada' }, { username: 'carol', role: 'viewer', email })
  const signIn = async (name = 'carol', organization = 'default') => {
    const { url, secret } = await start(organization)
    return finish(secret, await signInAt(url, name))
  }
  return { panel, provider, origin, post, start, finish, add, signIn }
}

const REFUSED = { error: { code: 'unauthorized', message: expect.stringContaining('refused') } }
const ENDED = { error: { code: 'unauthorized', message: expect.stringContaining('already ended') } }

test('a user added with a verified address signs in with the role given by the panel', async () => {
  const { panel, add, signIn } = await openPanel()
  expect((await signIn()).json).toMatchObject({ error: { code: 'forbidden' } })
  const { id } = await add('carol@EXAMPLE.com')
  expect((await signIn('mallory')).json).toMatchObject({ error: { message: expect.stringContaining('not verified') } })
  expect((await signIn()).json as unknown as SessionTokens).toMatchObject({ role: 'viewer', name: 'carol' })
  expect((await signIn()).status).toBe(200)
  const actions = (await panel.fleet.audit(panel.organizationId, 50)).map(({ action }) => action)
  expect(actions.filter((action) => action === 'user.linked')).toHaveLength(1)
  const admin = { organizationId: panel.organizationId, name: 'ada' }
  await expect(panel.fleet.people.change(admin, id, { email: null })).rejects.toMatchObject({ code: 'conflict' })
  await panel.fleet.people.change(admin, id, { email: 'carol@another.example' })
  expect((await signIn()).json).toMatchObject({ error: { code: 'forbidden' } })
})

test('a user of one organization cannot enter another', async () => {
  const { panel, add, signIn } = await openPanel()
  const acme = await panel.fleet.openOrganization('acme')
  await add('carol@example.com', acme)
  expect((await signIn()).json).toMatchObject({ error: { code: 'forbidden' } })
  expect((await signIn('carol', 'none')).json).toMatchObject({ error: { code: 'forbidden' } })
  const { access_token } = (await signIn('carol', 'acme')).json as unknown as SessionTokens
  expect(await panel.fleet.credentials.identify(access_token)).toMatchObject({ organizationId: acme, role: 'viewer' })
  expect((await signIn()).json).toMatchObject({ error: { code: 'forbidden' } })
})

test('an answer works once, and only in the browser whose sign-in it ends', async () => {
  const { provider, add, start, finish } = await openPanel()
  await add('carol@example.com')
  const [one, other] = [await start(), await start()]
  const answer = await signInAt(one.url, 'carol')
  expect((await finish(other.secret, answer)).json).toMatchObject(REFUSED)
  expect(provider.codesAsked).toBe(0)
  expect((await finish(one.secret, answer)).status).toBe(200)
  expect((await finish(one.secret, answer)).json).toMatchObject(ENDED)
  const another = await start()
  const replayed = new URLSearchParams(answer)
  replayed.set('state', new URL(another.url).searchParams.get('state')!)
  expect((await finish(another.secret, replayed.toString())).json).toMatchObject(REFUSED)
  const last = await start()
  expect((await finish(last.secret, '')).json).toMatchObject(REFUSED)
  expect((await finish(last.secret, await signInAt(last.url, 'carol'))).json).toMatchObject(ENDED)
})

test('an answer that names another provider, or none, is not exchanged', async () => {
  const { provider, add, start, finish } = await openPanel()
  await add('carol@example.com')
  for (const iss of ['https://another.example', null]) {
    const { url, secret } = await start()
    const answer = new URLSearchParams(await signInAt(url, 'carol'))
    if (iss === null) answer.delete('iss')
    else answer.set('iss', iss)
    expect((await finish(secret, answer.toString())).json).toMatchObject(REFUSED)
  }
  expect(provider.codesAsked).toBe(0)
})

test.each([
  ['nonce', (claims: Claims) => ({ ...claims, nonce: 'of another sign-in' })],
  ['audience', (claims: Claims) => ({ ...claims, aud: 'another client' })],
  ['issuer', (claims: Claims) => ({ ...claims, iss: 'https://another.example' })],
  ['time', (claims: Claims) => ({ ...claims, iat: 1, exp: 2 })],
])('a token with another %s is refused', async (_, claims) => {
  const { add, signIn } = await openPanel({ claims })
  await add('carol@example.com')
  expect((await signIn()).json).toMatchObject(REFUSED)
})

test('people are sent to the provider and back to this page only, never over a connection that others read', async () => {
  const { origin, post, start } = await openPanel()
  expect(new URL((await start()).url).searchParams.get('redirect_uri')).toBe(`${origin}/`)
  for (const headers of [{}, { origin: 'https://evil.example' }]) {
    expect((await post('/api/auth/oidc/start', {}, headers as Record<string, string>)).status).toBe(403)
  }
  const lying = await openPanel({ configuration: { authorization_endpoint: 'http://evil.example/auth' } })
  const answer = await lying.post('/api/auth/oidc/start', {})
  expect(answer.json).toMatchObject({ error: { code: 'identity_provider_unreachable' } })
  await expect(openTestPanel({ identityProvider: { issuer: 'http://id.example', clientId: 'x' } })).rejects.toThrow(
    /https/,
  )
})

test('sign-ins that were begun and failed are counted by address, on all processes of the panel', async () => {
  const { panel, post, start, finish } = await openPanel()
  const begin = async () => (await post('/api/auth/oidc/start', {})).status
  const { secret } = await start()
  expect((await finish(secret, '')).status).toBe(401)
  const started = await Promise.all(Array.from({ length: 105 }, begin))
  expect(started.filter((status) => status === 200)).toHaveLength(99)
  expect(started.filter((status) => status === 429)).toHaveLength(6)
  const elsewhere = { organization: 'default', redirectUri: 'http://127.0.0.1/', address: '203.0.113.7' }
  expect(await panel.providerSignIns.begin(elsewhere)).toHaveProperty('url')
})

test('the audit counts the failed sign-ins at the provider', async () => {
  const { issuer } = await openProvider()
  const database = await openPanelDatabase(temporaryFile('panel.db'))
  onTestFinished(() => database.close())
  const fleet = new Fleet(database)
  const organizationId = await fleet.openOrganization('default')
  const provider = new IdentityProvider({ issuer, clientId: 'panel', clientSecret: 'secret' }, systemClock)
  const signIns = new ProviderSignIns(database, provider, fleet.people.failures)
  const begun = { organization: 'default', redirectUri: 'http://127.0.0.1/', address: '203.0.113.7' }
  const [junk, stranger] = [await signIns.begin(begun), await signIns.begin(begun)]
  await expect(signIns.finish({ secret: junk.secret, answer: '' })).rejects.toMatchObject({ code: 'unauthorized' })
  const answer = await signInAt(stranger.url, 'carol')
  await expect(signIns.finish({ secret: stranger.secret, answer })).rejects.toMatchObject({ code: 'forbidden' })
  await database.system.rows('UPDATE sign_in_failures SET since = since - 600000')
  await fleet.people.failures.record()
  const [row] = await fleet.audit(organizationId, 1)
  expect(row).toMatchObject({ action: 'sign_in.failed', details: expect.stringContaining('"failures":2,') })
})
