/** Users and tokens over HTTP: created, changed, removed; the effect on open sessions; the rows of the audit. */

import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { systemClock } from '../../src/core/clock.ts'
import { openTestRuntime, type RuntimeOptions, send, type TestRuntime } from '../support/runtime.ts'

const password = 'correct horse battery'

interface AuditRow {
  role: string
  actor: string
  action: string
  target: string | null
  details: Record<string, unknown>
}

async function openWithPeople(options?: RuntimeOptions) {
  const cage = await openTestRuntime(options)
  const { access_token: operator } = await cage.login()
  for (const [username, role] of [
    ['alice', 'admin'],
    ['bob', 'viewer'],
  ])
    expect((await cage.post('/api/users', { username, password, role }, operator)).status).toBe(201)
  const signIn = async (username: string) =>
    (await cage.post('/api/auth/login', { username, password })).json() as {
      access_token: string
      refresh_token: string
    }
  return { cage, operator, signIn }
}

const remove = (cage: TestRuntime, path: string, token: string) =>
  send(cage.url + path, { method: 'DELETE', headers: { authorization: `Bearer ${token}` } })

const audit = async (cage: TestRuntime, token: string): Promise<AuditRow[]> =>
  (await cage.get('/api/audit?limit=1000', token)).json().rows as AuditRow[]

async function watch(cage: TestRuntime, token: string): Promise<WebSocket> {
  const { ticket } = (await cage.post('/api/auth/ws-ticket', {}, token)).json()
  const socket = new WebSocket(`${cage.url.replace('http', 'ws')}/ws?ticket=${ticket}`)
  onTestFinished(() => socket.terminate())
  await once(socket, 'message')
  return socket
}

/** Receives messages, and never answers. */
async function watchInSilence(cage: TestRuntime, token: string): Promise<Socket> {
  const { ticket } = (await cage.post('/api/auth/ws-ticket', {}, token)).json()
  const { hostname, port, host } = new URL(cage.url)
  const socket = connect(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  const key = 'sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=='
  socket.write(
    `GET /ws?ticket=${ticket} HTTP/1.1\r\nhost: ${host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n${key}\r\n\r\n`,
  )
  await once(socket, 'data')
  return socket.resume()
}

describe('a person', () => {
  test('a person is created by an admin, signs in, and reads its own identity', async () => {
    const { cage, operator, signIn } = await openWithPeople()
    const alice = await signIn('Alice')
    expect(alice).toEqual({
      access_token: expect.any(String),
      refresh_token: expect.stringMatching(/^refresh_/),
      expires_in: 900,
      role: 'admin',
      name: 'alice',
    })
    expect((await cage.get('/api/auth/me', alice.access_token)).json()).toEqual({ role: 'admin', name: 'alice' })
    const users = (await cage.get('/api/users', operator)).json().users
    expect(users).toMatchObject([
      { id: expect.stringMatching(/^user-/), username: 'alice', role: 'admin' },
      { username: 'bob', role: 'viewer' },
    ])
    expect(JSON.stringify(users)).not.toMatch(/argon|hash/)
  })

  test.each([
    [{ username: 'carol' }, 400],
    [{ username: 'carol', password: 'short' }, 400],
    [{ username: 'carol', password, role: 'agent' }, 400],
    [{ username: 'carol', password, role: 'owner' }, 400],
    [{ username: 'carol@example.com', password }, 400],
    [{ username: 'carol', password, id: 'user-1' }, 400],
    [{ username: 'ALICE', password }, 409],
  ])('a person with impossible data (%j) is not created', async (body, status) => {
    const { cage, operator } = await openWithPeople()
    const reply = await cage.post('/api/users', body, operator)
    expect(reply.status).toBe(status)
    expect(reply.text).not.toContain(password)
    expect(((await cage.get('/api/users', operator)).json().users as object[]).length).toBe(2)
  })

  test.each([
    [
      'is made a viewer',
      (cage: TestRuntime, token: string) => cage.post('/api/users/alice', { role: 'viewer' }, token, 'PATCH'),
    ],
    [
      'gets another password',
      (cage: TestRuntime, token: string) =>
        cage.post('/api/users/alice', { password: 'another good one' }, token, 'PATCH'),
    ],
    ['is removed', (cage: TestRuntime, token: string) => remove(cage, '/api/users/alice', token)],
  ])('a person who %s is out within a second: tokens, tickets and sockets', async (_what, change) => {
    const { cage, operator, signIn } = await openWithPeople()
    const alice = await signIn('alice')
    const [hers, bobs] = [await watch(cage, alice.access_token), await watch(cage, (await signIn('bob')).access_token)]
    // One that does not close its side is cut off all the same.
    const deaf = await watchInSilence(cage, alice.access_token)
    const { ticket } = (await cage.post('/api/auth/ws-ticket', {}, alice.access_token)).json()
    const closed = once(hers, 'close')
    const before = cage.runtime.viewers()
    expect((await change(cage, operator)).status).toBeLessThan(300)
    expect(cage.runtime.viewers()).toBe(before - 2)
    expect((await closed)[0]).toBe(4401)
    if (!deaf.closed) await once(deaf, 'close')
    expect((await cage.get('/api/auth/me', alice.access_token)).status).toBe(401)
    expect((await cage.post('/api/auth/refresh', { refresh_token: alice.refresh_token })).status).toBe(401)
    const late = new WebSocket(`${cage.url.replace('http', 'ws')}/ws?ticket=${ticket}`)
    const [error] = (await once(late, 'error')) as [Error]
    expect(error.message).toContain('401')
    expect(bobs.readyState).toBe(WebSocket.OPEN)
  })

  test('a person who was made a viewer signs in again as one', async () => {
    const { cage, operator, signIn } = await openWithPeople()
    await cage.post('/api/users/alice', { role: 'viewer' }, operator, 'PATCH')
    const { access_token } = await signIn('alice')
    expect((await cage.get('/api/snapshot', access_token)).status).toBe(200)
    expect((await cage.get('/api/users', access_token)).status).toBe(403)
  })

  test('a person that does not exist is reported as such', async () => {
    const { cage, operator } = await openWithPeople()
    expect((await remove(cage, '/api/users/nobody-here', operator)).status).toBe(404)
    expect((await cage.post('/api/users/nobody-here', { role: 'admin' }, operator, 'PATCH')).status).toBe(404)
    expect((await cage.post('/api/users/alice', {}, operator, 'PATCH')).status).toBe(400)
  })
})

describe('signing in', () => {
  test('sign-in is delayed after repeated failures, with the waiting time in the answer; both are recorded without the password', async () => {
    const clock = { ...systemClock, monotonic: () => 1_000 }
    const { cage } = await openWithPeople({ clock })
    const guess = () => cage.post('/api/auth/login', { username: 'alice', password: 'wrong horse battery' })
    for (let failure = 0; failure < 5; failure++) expect((await guess()).status).toBe(401)
    const reply = await guess()
    expect([reply.status, reply.headers['retry-after']]).toEqual([429, '1'])
    expect(reply.json()).toMatchObject({ error: { code: 'too_many_attempts' } })
    expect(cage.of('auth.failed')).toHaveLength(6)
    expect(JSON.stringify(cage.events)).not.toContain('horse')
  })

  test.each([
    {},
    { username: 'alice' },
    { username: 'alice', password: 7 },
    { username: ['alice'], password },
    { username: 'alice', password: 'x'.repeat(2000) },
  ])('signing in with %j is no attempt', async (body) => {
    const { cage } = await openWithPeople()
    expect((await cage.post('/api/auth/login', body)).status).toBe(400)
  })
})

test('a body with credentials has a lower limit than others', async () => {
  const { cage } = await openWithPeople()
  for (const [route, field] of [
    ['login', 'username'],
    ['refresh', 'refresh_token'],
    ['exchange', 'code'],
  ]) {
    const { status } = await cage.post(`/api/auth/${route}`, { [field!]: 'x'.repeat(10_000) })
    expect([route, status]).toEqual([route, 413])
  }
})

test('every row of the audit has the role and the name of who did it', async () => {
  const { cage, operator, signIn } = await openWithPeople()
  const { access_token: alice } = await signIn('alice')
  const { access_token: bob } = await signIn('bob')
  await cage.post('/api/users', { username: 'carol', password }, alice)
  await cage.post('/api/users/carol', { role: 'admin' }, alice, 'PATCH')
  await remove(cage, '/api/users/carol', alice)
  await cage.post('/api/users', { username: 'dora', password }, bob)
  await cage.post('/api/auth/login', { username: 'alice', password: 'wrong horse' })
  const rows = await audit(cage, operator)
  for (const row of rows)
    expect([row.role, row.actor]).toEqual([expect.stringMatching(/\w/), expect.stringMatching(/\w/)])
  const recorded = rows.map(({ role, actor, action }) => `${role} ${actor} ${action}`)
  expect(recorded).toEqual(
    expect.arrayContaining([
      'admin operator user.created',
      'admin alice auth.sign_in',
      'viewer bob auth.sign_in',
      'admin alice user.created',
      'admin alice user.change',
      'admin alice user.changed',
      'admin alice user.remove',
      'viewer bob auth.failed',
      'nobody unknown auth.failed',
    ]),
  )
  const change = rows.find(({ action }) => action === 'user.changed')
  expect(change?.details).toEqual({ username: 'carol', role_before: 'viewer', role: 'admin', password_changed: false })
  expect(JSON.stringify(rows)).not.toContain(password)
})

test('no password and no token is in any file: database, its journal, logs', async () => {
  const cage = await openTestRuntime({ log: { level: 'debug' } })
  const { access_token: operator, refresh_token } = await cage.login()
  const secrets = [password, 'another good one', 'wrong horse', operator, refresh_token.slice(0, 50)]
  await cage.post('/api/users', { username: 'alice', password }, operator)
  await cage.post('/api/auth/login', { username: 'alice', password: 'wrong horse' })
  const alice = (await cage.post('/api/auth/login', { username: 'alice', password })).json()
  await cage.post('/api/users/alice', { password: 'another good one' }, operator, 'PATCH')
  const token = (await cage.post('/api/tokens', { name: 'a screen', role: 'viewer' }, operator)).json()
  const renewed = (await cage.post(`/api/tokens/${token.id}/rotate`, {}, operator)).json()
  secrets.push(...[alice.access_token, alice.refresh_token, token.token, renewed.token].map(String))
  // The next head of the audit takes the name of the last one whenever it likes.
  const files = () =>
    readdirSync(cage.folder, { recursive: true, withFileTypes: true }).filter(
      (file) => file.isFile() && !file.name.endsWith('.next'),
    )
  const found = files().flatMap(({ parentPath, name }) => {
    const content = readFileSync(join(parentPath, name), 'latin1')
    return secrets.filter((secret) => content.includes(secret)).map((secret) => `${secret} in ${name}`)
  })
  expect(files().map(({ name }) => name)).toContain('state.db-wal')
  expect(found).toEqual([])
})

describe('a token', () => {
  test('a token that is replaced works on for a day, and its successor as long as it did', async () => {
    let ahead = 0
    const clock = { ...systemClock, now: () => Date.now() + ahead, monotonic: () => performance.now() + ahead }
    const cage = await openTestRuntime({ clock })
    const { access_token } = await cage.login()
    const body = { name: 'notebook', role: 'agent', budget_usd: '20', expires_in_s: 10 * 86_400 }
    const old = (await cage.post('/api/tokens', body, access_token)).json() as Record<string, string>
    expect(old.token).toMatch(/^ic_[\w-]{43}$/)
    expect(old.created_by).toBe('operator')
    ahead += 86_400_000
    const { access_token: later } = await cage.login()
    const made = await cage.post(`/api/tokens/${old.id}/rotate`, {}, later)
    const renewed = made.json() as Record<string, string>
    expect([made.status, renewed.agent_id, renewed.role]).toEqual([201, old.agent_id, 'agent'])
    expect(Date.parse(renewed.expires_at!) - Date.parse(renewed.created_at!)).toBe(10 * 86_400_000)
    const works = async (token: string) => (await cage.get('/api/run', token)).status === 200
    expect([await works(old.token!), await works(renewed.token!)]).toEqual([true, true])
    ahead += 86_400_000 + 1000
    expect([await works(old.token!), await works(renewed.token!)]).toEqual([false, true])
    const { access_token: last } = await cage.login()
    expect((await cage.post(`/api/tokens/${old.id}/rotate`, {}, last)).status).toBe(404)
    expect(JSON.stringify(cage.database.prepare('SELECT * FROM api_tokens').all())).not.toMatch(/ic_/)
  })

  test('a token that is replaced without an overlap is invalid at once, and its viewers are disconnected', async () => {
    const { cage, operator } = await openWithPeople()
    const { id, token } = (await cage.post('/api/tokens', { name: 'a screen', role: 'viewer' }, operator)).json()
    const socket = await watch(cage, token as string)
    const closed = once(socket, 'close')
    expect((await cage.post(`/api/tokens/${id}/rotate`, { overlap_s: 0 }, operator)).status).toBe(201)
    expect((await closed)[0]).toBe(4401)
    expect((await cage.get('/api/snapshot', token as string)).status).toBe(401)
  })

  test.each([{ overlap_s: -1 }, { overlap_s: 0.5 }, { overlap_s: 99_999_999 }, { overlap: 1 }])(
    'a token is not replaced with %j',
    async (body) => {
      const { cage, operator } = await openWithPeople()
      const { id } = (await cage.post('/api/tokens', { name: 'a screen', role: 'viewer' }, operator)).json()
      expect((await cage.post(`/api/tokens/${id}/rotate`, body, operator)).status).toBe(400)
    },
  )
})

test.each([
  ['an open vault keeps the key that signs', 'a master key of the tests, long enough 0123456789', 200],
  ['a locked one does not', undefined, 401],
])('over a restart, %s, and no one has to sign in again', async (_what, masterKey, status) => {
  const before = await openTestRuntime({ masterKey })
  const session = await before.login()
  await before.close()
  const after = await openTestRuntime({ masterKey, folder: before.folder })
  expect((await after.get('/api/auth/me', session.access_token)).status).toBe(status)
  const renewed = await after.post('/api/auth/refresh', { refresh_token: session.refresh_token })
  expect((await after.get('/api/auth/me', renewed.json().access_token as string)).status).toBe(200)
})
