import { createHmac } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Peers } from '../../src/access/peers.ts'
import { type Role, requireRole } from '../../src/access/roles.ts'
import { RunTokens, tokenHash } from '../../src/access/run-tokens.ts'
import { Sessions } from '../../src/access/sessions.ts'
import { Users } from '../../src/access/users.ts'
import { systemClock } from '../../src/core/clock.ts'
import { toAgentId, toRunId } from '../../src/core/ids.ts'
import { openStore } from '../../src/db/store.ts'
import { TestClock } from '../support/clock.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

const operatorToken = 'ic_of_the_command_line'

function openParts() {
  const clock = new TestClock()
  const store = openStore({ path: ':memory:' })
  onTestFinished(() => store.close())
  const users = new Users({ store, clock })
  return { clock, store, users, sessions: new Sessions({ store, clock, users, operatorToken }) }
}

async function openSession() {
  const parts = openParts()
  return { ...parts, tokens: await parts.sessions.exchange(parts.sessions.newCode()) }
}

const refused = { code: 'unauthorized' }

describe('a one-time code', () => {
  test('a one-time code works once', async () => {
    const { sessions } = await openSession()
    const code = sessions.newCode()
    await sessions.exchange(code)
    expect(() => sessions.exchange(code)).toThrow(expect.objectContaining(refused))
  })

  test('raced by ten works once', async () => {
    const { sessions } = await openSession()
    const code = sessions.newCode()
    const ends = await Promise.allSettled(Array.from({ length: 10 }, async () => sessions.exchange(code)))
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  test('a one-time code expires after a day', async () => {
    const { sessions, clock } = await openSession()
    const code = sessions.newCode()
    clock.advance(24 * HOUR + 1)
    expect(() => sessions.exchange(code)).toThrow(expect.objectContaining(refused))
  })

  test.each(['', 'code_', 'constructor', '__proto__'])(
    'a one-time code that was never given ("%s") is invalid',
    async (code) => {
      const { sessions } = await openSession()
      expect(() => sessions.exchange(code)).toThrow(expect.objectContaining(refused))
    },
  )
})

describe('an access token', () => {
  test('an access token identifies its user for fifteen minutes', async () => {
    const { sessions, tokens, clock } = await openSession()
    expect(tokens.expires_in).toBe(900)
    clock.advance(14 * MINUTE)
    expect(await sessions.identify(tokens.access_token)).toMatchObject({ role: 'admin', name: 'operator' })
    clock.advance(MINUTE + 1_000)
    await expect(sessions.identify(tokens.access_token)).rejects.toMatchObject(refused)
  })

  test('an access token ends with its session, at once', async () => {
    const { sessions, tokens } = await openSession()
    const identity = await sessions.identify(tokens.access_token)
    sessions.end('session' in identity ? identity.session : '')
    await expect(sessions.identify(tokens.access_token)).rejects.toMatchObject(refused)
    expect(() => sessions.refresh(tokens.refresh_token)).toThrow(expect.objectContaining(refused))
  })

  test('signed with a key that is kept outlives the server', async () => {
    const parts = openParts()
    const signingKey = new Uint8Array(32).fill(7)
    const before = new Sessions({ ...parts, operatorToken, signingKey })
    const { access_token } = await before.exchange(before.newCode())
    const after = new Sessions({ ...parts, operatorToken, signingKey })
    expect(await after.identify(access_token)).toMatchObject({ name: 'operator' })
  })

  test('signed with the right key is invalid when any other field differs from those issued here', async () => {
    const parts = openParts()
    const signingKey = new Uint8Array(64).fill(7)
    const sessions = new Sessions({ ...parts, operatorToken, signingKey })
    const { access_token } = await sessions.exchange(sessions.newCode())
    const claims = JSON.parse(Buffer.from(access_token.split('.')[1]!, 'base64url').toString())
    const sign = (change: object, header: object = {}, hash = 'sha256') => {
      const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
      const text = `${base64({ alg: 'HS256', typ: 'at+jwt', ...header })}.${base64({ ...claims, ...change })}`
      return `${text}.${createHmac(hash, signingKey).update(text).digest('base64url')}`
    }
    expect(await sessions.identify(sign({}))).toMatchObject({ role: 'admin' })
    for (const [what, token] of Object.entries({
      HS384: sign({}, { alg: 'HS384' }, 'sha384'),
      HS512: sign({}, { alg: 'HS512' }, 'sha512'),
      'another typ': sign({}, { typ: 'JWT' }),
      'no typ': sign({}, { typ: undefined }),
      'another audience': sign({ aud: 'elsewhere' }),
      'no audience': sign({ aud: undefined }),
      'no end': sign({ exp: undefined }),
      'an end in the past': sign({ exp: 1 }),
      'a beginning to come': sign({ nbf: claims.exp }),
      'no session': sign({ sub: undefined }),
      'a made-up session': sign({ sub: 'session-00000000000000000000000000000000' }),
    })) {
      await expect(sessions.identify(token), what).rejects.toMatchObject(refused)
    }
    // The role in the token does not count.
    await parts.users.add({ username: 'bob', role: 'viewer', password: 'correct horse' })
    const bob = await sessions.open(parts.users.get('bob'))
    const { sub } = JSON.parse(Buffer.from(bob.access_token.split('.')[1]!, 'base64url').toString())
    expect(await sessions.identify(sign({ sub, role: 'admin' }))).toMatchObject({ role: 'viewer', name: 'bob' })
  })

  test('an access token of an earlier start of the server is invalid', async () => {
    const { tokens } = await openSession()
    const { sessions } = await openSession()
    await expect(sessions.identify(tokens.access_token)).rejects.toMatchObject(refused)
  })

  test('an access token that was forged is invalid', async () => {
    const { sessions, tokens } = await openSession()
    const [header, payload, signature] = tokens.access_token.split('.') as [string, string, string]
    const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const signed = (head: object, body: object, key: string) => {
      const text = `${base64(head)}.${base64(body)}`
      return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
    }
    const other = await sessions.exchange(sessions.newCode())
    for (const token of [
      `${base64({ alg: 'none', typ: 'at+jwt' })}.${payload}.`,
      `${base64({ alg: 'none', typ: 'at+jwt' })}.${payload}.${signature}`,
      `${header}.${base64({ ...claims, role: 'owner' })}.${signature}`,
      `${header}.${base64({ ...claims, exp: claims.exp + 99_999 })}.${signature}`,
      `${header}.${other.access_token.split('.')[1]}.${signature}`,
      signed({ alg: 'HS256', typ: 'at+jwt' }, claims, ''),
      signed({ alg: 'HS256', typ: 'at+jwt' }, claims, 'secret'),
      signed({ alg: 'HS512', typ: 'at+jwt' }, claims, 'secret'),
      `${header}.${payload}`,
      `${header}.${payload}.`,
      tokens.access_token.slice(0, -1),
      tokens.refresh_token,
      '',
      'constructor',
    ]) {
      await expect(sessions.identify(token), token).rejects.toMatchObject(refused)
    }
  })

  test('an access token of the command line on this machine is the operator', async () => {
    const { sessions } = await openSession()
    expect(await sessions.identify(operatorToken)).toMatchObject({ role: 'admin', name: 'operator' })
    await expect(sessions.identify(`${operatorToken}x`)).rejects.toMatchObject(refused)
  })
})

describe('a refresh token', () => {
  test('a refresh token works once, and returns the next one', async () => {
    const { sessions, tokens } = await openSession()
    const renewed = await sessions.refresh(tokens.refresh_token)
    expect(renewed.refresh_token).not.toBe(tokens.refresh_token)
    expect(await sessions.refresh(renewed.refresh_token)).toMatchObject({ role: 'admin' })
  })

  test('a refresh token used a second time ends its session for both who hold it, and no other', async () => {
    const { sessions, tokens } = await openSession()
    const other = await sessions.exchange(sessions.newCode())
    const renewed = await sessions.refresh(tokens.refresh_token)
    expect(() => sessions.refresh(tokens.refresh_token)).toThrow(expect.objectContaining(refused))
    expect(() => sessions.refresh(renewed.refresh_token)).toThrow(expect.objectContaining(refused))
    await expect(sessions.identify(renewed.access_token)).rejects.toMatchObject(refused)
    expect(await sessions.identify(other.access_token)).toMatchObject({ role: 'admin' })
  })

  test('a refresh token outlives the server, also when access tokens are signed with another key then', async () => {
    const { sessions, tokens, ...parts } = await openSession()
    const ended = await sessions.exchange(sessions.newCode())
    sessions.end(((await sessions.identify(ended.access_token)) as { session: string }).session)
    const next = new Sessions({ ...parts, operatorToken })
    await expect(next.identify(tokens.access_token)).rejects.toMatchObject(refused)
    expect(() => next.refresh(ended.refresh_token)).toThrow(expect.objectContaining(refused))
    const renewed = await next.refresh(tokens.refresh_token)
    expect(await next.identify(renewed.access_token)).toMatchObject({ role: 'admin', name: 'operator' })
    // Too old to be taken up again, it is no row either.
    parts.clock.advance(12 * HOUR + 1)
    const last = new Sessions({ ...parts, operatorToken })
    expect(() => last.refresh(renewed.refresh_token)).toThrow(expect.objectContaining(refused))
    expect(parts.store.sessions.all()).toEqual([])
  })

  test('a refresh token is stored in no row, and neither is the access token', async () => {
    const { store, tokens } = await openSession()
    const rows = JSON.stringify(store.sessions.all())
    expect(rows).not.toContain(tokens.refresh_token.slice(0, 50))
    expect(rows).not.toContain(tokens.access_token)
  })

  test('raced by ten works once', async () => {
    const { sessions, tokens } = await openSession()
    const ends = await Promise.allSettled(
      Array.from({ length: 10 }, async () => sessions.refresh(tokens.refresh_token)),
    )
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  test('a refresh token lasts as long as it is used within twelve hours', async () => {
    const { sessions, tokens, clock } = await openSession()
    clock.advance(11 * HOUR)
    const renewed = await sessions.refresh(tokens.refresh_token)
    clock.advance(11 * HOUR)
    const again = await sessions.refresh(renewed.refresh_token)
    clock.advance(12 * HOUR + 1)
    expect(() => sessions.refresh(again.refresh_token)).toThrow(expect.objectContaining(refused))
  })

  test.each(['', 'refresh_made_up'])('a refresh token that was never given ("%s") is invalid', async (token) => {
    const { sessions } = await openSession()
    expect(() => sessions.refresh(token)).toThrow(expect.objectContaining(refused))
  })
})

describe('a ticket', () => {
  test('a ticket works once, within thirty seconds', async () => {
    const { sessions, clock } = await openSession()
    const [first, second] = [sessions.newTicket('session-1'), sessions.newTicket('session-1')]
    expect(sessions.takeTicket(first)).toBe('session-1')
    expect(sessions.takeTicket(first)).toBeUndefined()
    clock.advance(30_001)
    expect(sessions.takeTicket(second)).toBeUndefined()
    expect(sessions.takeTicket('ticket_made_up')).toBeUndefined()
  })

  test('a ticket evicts older tickets of its own session only, when that requests very many', async () => {
    const { sessions } = await openSession()
    const other = sessions.newTicket('session-2')
    const tickets = Array.from({ length: 3_000 }, () => sessions.newTicket('session-1'))
    expect(tickets.filter((ticket) => sessions.takeTicket(ticket) !== undefined)).toEqual(tickets.slice(-2_000))
    expect(sessions.takeTicket(other)).toBe('session-2')
  })

  test('a ticket ends with its session', async () => {
    const { sessions } = await openSession()
    const [ended, other] = [sessions.newTicket('session-1'), sessions.newTicket('session-2')]
    sessions.end('session-1')
    expect(sessions.takeTicket(ended)).toBeUndefined()
    expect(sessions.takeTicket(other)).toBe('session-2')
  })
})

describe('a run token', () => {
  const run = { agentId: toAgentId('lg-1'), runId: toRunId('run-1'), name: 'worker', script: '/agents/worker.py' }

  test('a run token is valid until its run ends, and no other token is', () => {
    const tokens = new RunTokens(new Peers(systemClock))
    const token = tokens.issue(run)
    const again = tokens.issue(run)
    const other = tokens.issue({ ...run, runId: toRunId('run-2') })
    expect(tokens.find(token)).toEqual(run)
    expect(tokens.find(token.slice(0, -1))).toBeUndefined()
    expect(tokens.find(tokenHash(token))).toBeUndefined()
    expect(tokens.find('run_')).toBeUndefined()
    tokens.revoke(toRunId('run-1'))
    expect([tokens.find(token), tokens.find(again)]).toEqual([undefined, undefined])
    expect(tokens.find(other)?.runId).toBe('run-2')
  })
})

describe('a role', () => {
  test.each([
    ['admin', 'admin', true],
    ['admin', 'viewer', true],
    ['admin', 'agent', false],
    ['viewer', 'viewer', true],
    ['viewer', 'admin', false],
    ['viewer', 'agent', false],
    ['agent', 'agent', true],
    ['agent', 'viewer', false],
    ['agent', 'admin', false],
  ] as [Role, Role, boolean][])('of %s that needs %s is let through: %s', (role, needed, passes) => {
    const run = { agentId: toAgentId('lg-1'), runId: toRunId('run-1'), name: 'worker', script: '/agents/worker.py' }
    const identity = role === 'agent' ? { role, name: 'x', run } : { role, name: 'x', session: 's' }
    const ask = () => requireRole(identity, needed)
    if (passes) expect(ask).not.toThrow()
    else expect(ask).toThrow(expect.objectContaining({ code: 'forbidden' }))
  })
})
