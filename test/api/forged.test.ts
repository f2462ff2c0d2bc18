/**
 * Tokens that were forged, stolen, changed or kept too long: none opens anything, by any way in, and each is recorded.
 */
import { createHmac, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { openTestRuntime, type Reply, send, type TestAgent, type TestRuntime } from '../support/runtime.ts'

interface Stage {
  cage: TestRuntime
  /** Good ones. */
  admin: string
  viewer: string
  refresh: string
  run: TestAgent
  apiToken: string
  /** Of a run that ended, a session that was left, a token that was revoked. */
  endedRun: string
  left: string
  revoked: string
  /** Of another server. */
  foreign: string
  foreignRun: string
}

async function openStage(): Promise<Stage> {
  const [cage, other] = [await openTestRuntime(), await openTestRuntime()]
  const { access_token: admin } = await cage.login()
  const session = await cage.login()
  await cage.post('/api/users', { username: 'bob', password: 'correct horse' }, admin)
  const bob = (await cage.post('/api/auth/login', { username: 'bob', password: 'correct horse' })).json()
  const token = async (role: string) => (await cage.post('/api/tokens', { name: role, role }, admin)).json()
  const revoked = await token('admin')
  await send(`${cage.url}/api/tokens/${revoked.id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${admin}` },
  })
  const left = await cage.login()
  await cage.post('/api/auth/logout', {}, left.access_token)
  const endedRun = cage.addAgent()
  cage.runtime.runTokens.revoke(endedRun.runId)
  return {
    cage,
    admin,
    viewer: bob.access_token as string,
    refresh: session.refresh_token,
    run: cage.addAgent(),
    apiToken: (await token('admin')).token as string,
    endedRun: endedRun.token,
    left: left.access_token,
    revoked: revoked.token as string,
    foreign: (await other.login()).access_token,
    foreignRun: other.addAgent().token,
  }
}

const base64 = (value: object | string) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const parts = (token: string) => token.split('.') as [string, string, string]
const claimsOf = (token: string) => JSON.parse(Buffer.from(parts(token)[1], 'base64url').toString())
const hmac = (head: object, claims: object, key: string | Buffer, hash = 'sha256') => {
  const text = `${base64(head)}.${base64(claims)}`
  return `${text}.${createHmac(hash, key).update(text).digest('base64url')}`
}
const flip = (token: string, at: number, bit: number) => {
  const [head, payload, signature] = parts(token)
  const bytes = Buffer.from([head, payload, signature][at]!, 'base64url')
  const place = Math.floor(bytes.length / 2)
  bytes[place] = bytes[place]! ^ (1 << bit)
  return [head, payload, signature].with(at, bytes.toString('base64url')).join('.')
}

const head = { alg: 'HS256', typ: 'at+jwt' }
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const publicPem = createPublicKey(rsa.privateKey).export({ type: 'spki', format: 'pem' }) as string

/** By the defect of the token. */
async function forgeries(stage: Stage): Promise<Record<string, string>> {
  const { admin, viewer, refresh, run, apiToken, endedRun, left, revoked, foreign, foreignRun } = stage
  const claims = claimsOf(admin)
  const [header, payload, signature] = parts(admin)
  const signed = (alg: string, key: Parameters<SignJWT['sign']>[0], header: object = {}) =>
    new SignJWT(claims).setProtectedHeader({ alg, typ: 'at+jwt', ...header }).sign(key)
  return {
    'alg none': `${base64({ alg: 'none', typ: 'at+jwt' })}.${payload}.`,
    'alg None': `${base64({ alg: 'None', typ: 'at+jwt' })}.${payload}.`,
    'alg NONE, with the signature': `${base64({ alg: 'NONE', typ: 'at+jwt' })}.${payload}.${signature}`,
    'alg empty': `${base64({ alg: '', typ: 'at+jwt' })}.${payload}.${signature}`,
    'no alg': `${base64({ typ: 'at+jwt' })}.${payload}.${signature}`,
    'alg a list': `${base64({ alg: ['HS256'], typ: 'at+jwt' })}.${payload}.${signature}`,
    'signed with nothing': hmac(head, claims, ''),
    'signed with a word': hmac(head, claims, 'secret'),
    'signed with the issuer': hmac(head, claims, 'iron-cage'),
    'signed with zeros': hmac(head, claims, Buffer.alloc(32)),
    'signed with a public key': hmac(head, claims, publicPem),
    'signed with its own signature': hmac(head, claims, Buffer.from(signature, 'base64url')),
    'signed with HS384': hmac({ ...head, alg: 'HS384' }, claims, 'secret', 'sha384'),
    'signed with HS512': hmac({ ...head, alg: 'HS512' }, claims, 'secret', 'sha512'),
    'signed with RS256': await signed('RS256', rsa.privateKey),
    'signed with PS256': await signed('PS256', rsa.privateKey),
    'a key in the header': await signed('RS256', rsa.privateKey, { jwk: rsa.publicKey.export({ format: 'jwk' }) }),
    'a key to be fetched': await signed('RS256', rsa.privateKey, { jku: 'http://127.0.0.1:1/keys', kid: '../../key' }),
    'another typ': hmac({ ...head, typ: 'JWT' }, claims, 'secret'),
    'a claim that must be known': `${base64({ ...head, crit: ['role'] })}.${payload}.${signature}`,
    'the role made greater': `${header}.${base64({ ...claimsOf(viewer), role: 'admin' })}.${parts(viewer)[2]}`,
    'the role added, and signed with another key': hmac(head, { ...claimsOf(viewer), role: 'admin' }, 'x'),
    "a viewer's with an admin's session": `${header}.${base64({ ...claimsOf(viewer), sub: claims.sub })}.${parts(viewer)[2]}`,
    'a longer life': `${header}.${base64({ ...claims, exp: claims.exp + 99_999 })}.${signature}`,
    'no end': `${header}.${base64({ sub: claims.sub, aud: 'iron-cage' })}.${signature}`,
    'another audience': `${header}.${base64({ ...claims, aud: 'elsewhere' })}.${signature}`,
    "another's payload": `${header}.${parts(viewer)[1]}.${signature}`,
    "another's signature": `${header}.${payload}.${parts(viewer)[2]}`,
    ...Object.fromEntries([0, 3, 7].map((bit) => [`bit ${bit} of the header`, flip(admin, 0, bit)])),
    ...Object.fromEntries([0, 3, 7].map((bit) => [`bit ${bit} of the claims`, flip(admin, 1, bit)])),
    ...Object.fromEntries([0, 3, 7].map((bit) => [`bit ${bit} of the signature`, flip(admin, 2, bit)])),
    'without its signature': `${header}.${payload}`,
    'with an empty signature': `${header}.${payload}.`,
    'cut short': admin.slice(0, -2),
    'with something after it': `${admin}x`,
    'a fourth part': `${admin}.x`,
    'as JSON': JSON.stringify({ payload, signatures: [{ protected: header, signature }] }).replaceAll(/\s/g, ''),
    'a refresh token': refresh,
    'of a session that was left': left,
    'of another server': foreign,
    'a run token of another server': foreignRun,
    'a run token of a run that has ended': endedRun,
    'a run token cut short': run.token.slice(0, -1),
    'a run token in capitals': run.token.toUpperCase(),
    'a run token by its hash': createHmac('sha256', '').update(run.token).digest('hex'),
    'an API token that was revoked': revoked,
    'an API token cut short': apiToken.slice(0, -1),
    'an API token with something after it': `${apiToken}A`,
    'an API token under another prefix': apiToken.replace('ic_', 'run_'),
    'a run token under another prefix': run.token.replace('run_', 'ic_'),
    'a made-up API token': `ic_${'A'.repeat(43)}`,
    'a session by its id': claims.sub,
    'a word of the language': '__proto__',
  }
}

describe('a token that an attacker', () => {
  test('a token that an attacker forged or kept too long opens nothing, and each attempt is in the audit', async () => {
    const stage = await openStage()
    const { cage, admin } = stage
    const forged = Object.entries(await forgeries(stage))
    expect(forged.length).toBeGreaterThanOrEqual(40)
    const before = cage.of('auth.failed').length
    const entered: string[] = []
    for (const [what, token] of forged) {
      const { status } = await cage.get('/api/auth/me', token)
      if (status !== 401) entered.push(`${what}: ${status}`)
    }
    expect(entered).toEqual([])
    expect(cage.of('auth.failed')).toHaveLength(before + forged.length)
    const { rows } = (await cage.get('/api/audit?limit=1000', admin)).json() as { rows: { action: string }[] }
    expect(rows.filter(({ action }) => action === 'auth.failed')).toHaveLength(before + forged.length)
    const recorded = JSON.stringify([rows, cage.events])
    for (const [, token] of forged) if (token.length > 40) expect(recorded).not.toContain(token)
  })

  test('a token that an attacker forged opens no call, no session and no live view either', async () => {
    const stage = await openStage()
    const { cage } = stage
    const ways: Record<string, (token: string) => Promise<Reply>> = {
      'a call by its path': (token) =>
        send(`${cage.url}/gateway/${encodeURIComponent(token)}/openai/v1/chat/completions`, call({})),
      'a call with a bearer': (token) =>
        send(`${cage.url}/gateway/openai/v1/chat/completions`, call({ authorization: `Bearer ${token}` })),
      'a call with a key': (token) => send(`${cage.url}/gateway/anthropic/v1/messages`, call({ 'x-api-key': token })),
      'a refresh': (refresh_token) => cage.post('/api/auth/refresh', { refresh_token }),
      'a link': (code) => cage.post('/api/auth/exchange', { code }),
    }
    const entered: string[] = []
    for (const [what, token] of Object.entries(await forgeries(stage))) {
      for (const [way, attempt] of Object.entries(ways)) {
        if (way === 'a refresh' && what === 'a refresh token') continue
        const { status } = await attempt(token)
        // A text without the form of a token is taken for the name of a provider.
        if (![401, 403, 404].includes(status)) entered.push(`${what} by ${way}: ${status}`)
      }
    }
    expect(entered).toEqual([])
    expect(cage.provider.requests).toEqual([])
  })

  test("a token that an attacker has for another agent reveals nothing of this one's, and stops nothing", async () => {
    const { cage, run } = await openStage()
    const other = cage.addAgent()
    for (const path of [`/api/agents/${run.id}`, `/agent/${run.id}/status`, `/api/agents/${run.id}/report`]) {
      expect([path, (await cage.get(path, other.token)).status]).toEqual([path, 403])
    }
    for (const path of [`/agent/${run.id}/stop`, `/api/agents/${run.id}/restart`]) {
      expect([path, (await cage.post(path, {}, other.token)).status]).toEqual([path, 403])
    }
    expect((await cage.post(`/api/agents/${run.id}/budget`, { add_usd: '5' }, other.token, 'PATCH')).status).toBe(403)
    expect((await cage.get('/api/run', other.token)).json()).toMatchObject({ agent_id: other.id })
    // An admin's and a viewer's token make no calls.
    const { apiToken } = await openStage()
    expect(run.balance().limit).toBe('10')
    expect(
      (
        await send(`${cage.url}/gateway/openai/v1/models`, {
          method: 'GET',
          headers: { authorization: `Bearer ${apiToken}` },
        })
      ).status,
    ).toBe(401)
  })

  test('a token that an attacker tries on the gateway is recorded, without the token', async () => {
    const { cage, endedRun, apiToken } = await openStage()
    const before = cage.of('auth.failed').length
    expect((await send(`${cage.url}/gateway/${endedRun}/openai/v1/chat/completions`, call({}))).status).toBe(401)
    const asAdmin = call({ authorization: `Bearer ${apiToken}` })
    expect((await send(`${cage.url}/gateway/openai/v1/chat/completions`, asAdmin)).status).toBe(403)
    expect(
      cage
        .of('auth.failed')
        .slice(before)
        .map(({ data }) => data),
    ).toEqual([
      { reason: 'unauthorized', route: 'POST /gateway/run_…/openai/v1/chat/completions' },
      { reason: 'forbidden', route: 'POST /gateway/openai/v1/chat/completions' },
    ])
  })
})

const call = (headers: Record<string, string>) => ({
  method: 'POST' as const,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify({ model: 'penny', max_tokens: 4, messages: [{ role: 'user', content: 'Say hello.' }] }),
})
