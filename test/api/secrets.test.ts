import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { answer } from '../support/provider.ts'
import { openTestRuntime, send, type TestRuntime } from '../support/runtime.ts'
import { KEY } from '../vault/support.ts'

const CANARY = 'sk-canary-7f3a9c2d41b8-end'

interface Cage {
  cage: TestRuntime
  admin: string
  viewer: string
}

async function openCage(options: Parameters<typeof openTestRuntime>[0] = {}): Promise<Cage> {
  const cage = await openTestRuntime({ masterKey: KEY, ...options })
  const { access_token: admin } = await cage.login()
  const created = await cage.post('/api/tokens', { name: 'screen', role: 'viewer' }, admin)
  return { cage, admin, viewer: (created.json() as { token: string }).token }
}

const create = async ({ cage, admin }: Cage, body: object = {}): Promise<string> => {
  const secret = { name: 'OPENAI_API_KEY', environment: 'development', value: CANARY, ...body }
  return ((await cage.post('/api/secrets', secret, admin)).json() as { id: string }).id
}

const erase = (cage: TestRuntime, path: string, token: string) =>
  send(cage.url + path, { method: 'DELETE', headers: { authorization: `Bearer ${token}` } })

describe.each(['/api/secrets', '/secrets'])('%s', (path) => {
  test('/api/secrets creates, masks, reveals to admins only, replaces, rolls back, deletes and restores', async () => {
    const opened = await openCage()
    const { cage, admin, viewer } = opened
    const secret = { name: 'OPENAI_API_KEY', environment: 'development', value: CANARY }
    const created = await cage.post(path, secret, admin)
    expect(created.status).toBe(201)
    const { id, ...rest } = created.json()
    expect(id).toMatch(/^secret-/)
    expect(rest).toMatchObject({ name: secret.name, environment: 'development', masked: 'sk-c…nd', version: 1 })
    expect(created.text).not.toContain(CANARY)

    for (const token of [admin, viewer]) {
      for (const answer of [await cage.get(path, token), await cage.get(`${path}/${id}`, token)]) {
        expect(answer.status).toBe(200)
        expect(answer.text).toContain('sk-c…nd')
        expect(answer.text).not.toContain(CANARY)
      }
    }
    expect((await cage.get(`${path}/${id}?reveal=true`, viewer)).status).toBe(403)
    expect((await cage.get(`${path}/${id}?reveal=true`, admin)).json()).toMatchObject({ id, value: CANARY })

    expect((await cage.post(`${path}/${id}`, { value: 'another-value-0123456' }, admin, 'PUT')).json()).toMatchObject({
      version: 2,
    })
    expect((await cage.post(`${path}/${id}/roll-back`, {}, admin)).json()).toMatchObject({ version: 3 })
    expect((await erase(cage, `${path}/${id}`, admin)).status).toBe(204)
    expect((await cage.get(path, admin)).json()).toMatchObject({ secrets: [], vault: { state: 'open' } })
    expect((await cage.get(`${path}?deleted=true`, admin)).json()).toMatchObject({ secrets: [{ id }] })
    expect((await cage.post(`${path}/${id}/restore`, {}, admin)).json()).toMatchObject({ deleted_at: null })
    for (const [method, route, body] of [
      ['POST', path, secret],
      ['PUT', `${path}/${id}`, { value: 'v' }],
      ['POST', `${path}/${id}/restore`, {}],
      ['POST', `${path}/${id}/roll-back`, {}],
    ] as const) {
      expect((await cage.post(route, body, viewer, method)).status).toBe(403)
      expect((await cage.post(route, body, undefined, method)).status).toBe(401)
    }
    expect((await erase(cage, `${path}/${id}`, viewer)).status).toBe(403)

    const audit = (await cage.get(`${path}/audit?secret_name=OPENAI_API_KEY`, viewer)).json() as { entries: object[] }
    expect(audit.entries.map((entry) => (entry as { operation: string }).operation)).toEqual([
      'restore',
      'delete',
      'rotated',
      'roll_back',
      'rotated',
      'update',
      'read',
      'read',
      'create',
    ])
    expect(audit.entries[7]).toMatchObject({ operation: 'read', requester_role: 'viewer', success: false })
    expect(Object.keys(audit.entries[0]!)).toEqual([
      'id',
      'secret_name',
      'operation',
      'requester_role',
      'agent_id',
      'success',
      'error_message',
      'timestamp',
    ])
  })
})

test.each([
  ['a second one of its name', { name: 'TAKEN', environment: 'development', value: 'v' }, 409, 'conflict'],
  ['a name with a space', { name: 'a b', environment: 'development', value: 'v' }, 400, 'bad_request'],
  ['a name that is a person', { name: 'jane@example.org', environment: 'development', value: 'v' }, 400, 'bad_request'],
  ['no value', { name: 'A', environment: 'development' }, 400, 'bad_request'],
  ['an empty value', { name: 'A', environment: 'development', value: '' }, 400, 'bad_request'],
  ['NUL', { name: 'A', environment: 'development', value: 'canary-\0-value' }, 400, 'bad_request'],
  ['an unknown environment', { name: 'A', environment: 'prod', value: 'v' }, 400, 'bad_request'],
  ['an unknown field', { name: 'A', environment: 'development', value: 'v', masked: 'x' }, 400, 'bad_request'],
])('a secret with %s is refused, and its value is not in the answer', async (_, body, status, code) => {
  const opened = await openCage()
  await create(opened, { name: 'TAKEN' })
  const refused = await opened.cage.post('/api/secrets', body, opened.admin)
  expect(refused.status).toBe(status)
  expect(refused.json()).toMatchObject({ error: { code } })
  expect(refused.text).not.toContain('canary-')
})

test('the snapshot has the list without values, and follows every change', async () => {
  const opened = await openCage()
  const { cage, admin } = opened
  const id = await create(opened)
  await cage.post(`/api/secrets/${id}`, { value: 'another-value-0123456' }, admin, 'PUT')
  const { snapshot } = (await cage.get('/api/snapshot', admin)).json() as { snapshot: Record<string, unknown> }
  expect(snapshot.vault).toEqual({ state: 'open', hint: null })
  const { secrets } = (await cage.get('/api/secrets', admin)).json() as {
    secrets: (object & Record<string, unknown>)[]
  }
  const { agent, origin, ...listed } = secrets[0]!
  expect([agent, origin]).toEqual([null, 'vault'])
  expect(Object.keys(snapshot.secrets as object)).toEqual([id])
  expect((snapshot.secrets as Record<string, object>)[id]).toEqual({
    ...listed,
    created_at: expect.any(String),
    updated_at: expect.any(String),
    rotated_at: expect.any(String),
  })
})

test('without a master key secrets return a hint, and everything else works', async () => {
  const cage = await openTestRuntime()
  const { access_token: admin } = await cage.login()
  const refused = await cage.post('/api/secrets', { name: 'A', environment: 'development', value: 'v' }, admin)
  expect(refused.status).toBe(503)
  expect(refused.json()).toMatchObject({
    error: { code: 'vault_locked', hint: expect.stringContaining('iron-cage keygen') },
  })
  expect((await cage.get('/api/secrets', admin)).json()).toMatchObject({ secrets: [], vault: { state: 'locked' } })
  expect((await cage.addAgent().chat()).status).toBe(200)
  expect(cage.of('vault.locked')).toEqual([])
})

test('a finding is stored encrypted, shown to admins only, and the audit has who read it', async () => {
  const opened = await openCage()
  const { cage, admin, viewer } = opened
  cage.provider.does(answer({ text: 'Write to jane.canary@northwind-traders.com.' }))
  await cage.addAgent().chat()
  const { incidents } = (await cage.get('/api/pii/incidents', viewer)).json() as { incidents: Record<string, string>[] }
  expect(incidents).toMatchObject([{ type: 'email', original: 'sealed' }])
  expect(JSON.stringify(incidents)).not.toContain('sealed_original')
  const path = `/api/pii/incidents/${incidents[0]!.id}/original`
  expect((await cage.get(path, viewer)).status).toBe(403)
  expect((await cage.get(path, admin)).json()).toEqual({
    id: incidents[0]!.id,
    original: 'jane.canary@northwind-traders.com',
  })
  const row = cage.database.prepare("SELECT role, actor, target FROM audit WHERE action = 'incident.read'").get()
  expect(row).toEqual({ role: 'admin', actor: 'operator', target: incidents[0]!.id })
  expect((await cage.get('/api/pii/incidents/pii-none/original', admin)).status).toBe(404)
})

test('a finding is stored also where alerts are mailed without a password', async () => {
  const email = { to: ['ops@company.com'], from: 'cage@company.com', smtp_url: 'smtp://127.0.0.1:1' }
  const { cage, viewer } = await openCage({ alerts: { email } })
  cage.provider.does(answer({ text: 'Write to jane.canary@northwind-traders.com.' }))
  await cage.addAgent().chat()
  expect((await cage.get('/api/pii/incidents', viewer)).json()).toMatchObject({ incidents: [{ original: 'sealed' }] })
})

test('a finding made while the vault was locked has no stored value, and its row records that', async () => {
  const cage = await openTestRuntime()
  const { access_token: admin } = await cage.login()
  cage.provider.does(answer({ text: 'Write to jane.canary@northwind-traders.com.' }))
  await cage.addAgent().chat()
  const { incidents } = (await cage.get('/api/pii/incidents', admin)).json() as { incidents: Record<string, string>[] }
  expect(incidents).toMatchObject([{ original: 'not_kept' }])
  expect((await cage.get(`/api/pii/incidents/${incidents[0]!.id}/original`, admin)).status).toBe(404)
})

test.each([false, true])(
  'a vault value that a provider repeats is removed from the reply (streamed: %s)',
  async (stream) => {
    const opened = await openCage()
    await create(opened, { name: 'ODD', value: 'correct-horse-battery' })
    opened.cage.provider.does(answer({ text: 'The word is correct-horse-battery, is it not?' }))
    const reply = await opened.cage.addAgent().chat({ stream })
    const text = stream
      ? [...reply.text.matchAll(/"content":"([^"]*)"/g)].map((match) => match[1]).join('')
      : reply.text
    expect(text).toContain('The word is [SECRET_REDACTED], is it not?')
    expect(reply.text).not.toContain('horse-battery')
    expect(opened.cage.of('pii.found')).toMatchObject([{ data: { pii_type: 'secret' } }])
  },
)

test('no value is in a file, an event, a frame or an error, after it was made, read, replaced, misused and deleted', async () => {
  const opened = await openCage({ log: { level: 'debug' } })
  const { cage, admin } = opened
  const { ticket } = (await cage.post('/api/auth/ws-ticket', {}, admin)).json() as { ticket: string }
  const frames: string[] = []
  const socket = new WebSocket(`${cage.url.replace('http', 'ws')}/ws?ticket=${ticket}`)
  socket.on('message', (data) => frames.push(String(data)))
  const id = await create(opened)
  const answers = [
    await cage.post('/api/secrets', { name: 'OPENAI_API_KEY', environment: 'development', value: CANARY }, admin),
    await cage.post('/api/secrets', { name: CANARY, environment: 'development', value: CANARY }, admin),
    await cage.post('/api/secrets', `{"name":"A","value":"${CANARY}"`, admin),
    await cage.post(`/api/secrets/${CANARY}`, { value: CANARY }, admin, 'PUT'),
    await cage.get(`/api/secrets/audit?before=${CANARY}`, admin),
    await cage.post(`/api/secrets/${id}`, { value: `${CANARY}-2` }, admin, 'PUT'),
    await cage.get('/api/events?limit=1000', admin),
    await cage.get('/api/snapshot', admin),
    await cage.get('/api/secrets/audit', admin),
  ]
  expect((await cage.get(`/api/secrets/${id}?reveal=true`, admin)).text).toContain(CANARY)
  const agent = cage.addAgent()
  cage.provider.does(answer({ text: `Your key is ${CANARY}.` }))
  answers.push(await agent.chat())
  await erase(cage, `/api/secrets/${id}`, admin)
  await expect.poll(() => frames.join('')).toContain('secret.deleted')
  socket.close()
  for (const { text } of answers) expect(text).not.toContain(CANARY)
  expect(frames.join('')).not.toContain(CANARY)
  expect(JSON.stringify(cage.events)).not.toContain(CANARY)
  // The next head of the audit takes the name of the last one whenever it likes.
  const files = readdirSync(cage.folder, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && !entry.name.endsWith('.next'),
  )
  expect(files.some(({ name }) => name.endsWith('-wal'))).toBe(true)
  for (const { parentPath, name } of files) {
    const bytes = readFileSync(join(parentPath, name))
    for (const needle of [
      CANARY,
      Buffer.from(CANARY).toString('base64').slice(0, 30),
      Buffer.from(CANARY).toString('hex'),
    ]) {
      expect(bytes.includes(needle), name).toBe(false)
    }
  }
})
