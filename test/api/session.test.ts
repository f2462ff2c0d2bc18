/** Getting in and out by HTTP: the link, its session, events in pages. */
import { describe, expect, test } from 'vitest'
import { openTestRuntime, send } from '../support/runtime.ts'

test('the printed link opens a session once, which refreshes, identifies its user, and ends', async () => {
  const cage = await openTestRuntime()
  const link = cage.runtime.dashboardLink()
  expect(link).toMatch(/^http:\/\/localhost:\d+\/#code=code_[\w-]{43}$/)
  const code = link.split('=')[1]
  const session = await cage.post('/api/auth/exchange', { code })
  expect(session.json()).toEqual({
    access_token: expect.any(String),
    refresh_token: expect.stringMatching(/^refresh_/),
    expires_in: 900,
    role: 'admin',
    name: 'operator',
  })
  const used = await cage.post('/api/auth/exchange', { code })
  expect([used.status, used.json()]).toMatchObject([401, { error: { code: 'unauthorized' } }])

  const { refresh_token } = session.json() as { refresh_token: string }
  const renewed = (await cage.post('/api/auth/refresh', { refresh_token })).json() as {
    access_token: string
    refresh_token: string
  }
  expect((await cage.get('/api/auth/me', renewed.access_token)).json()).toEqual({ role: 'admin', name: 'operator' })
  expect((await cage.post('/api/auth/logout', {}, renewed.access_token)).status).toBe(204)
  expect((await cage.get('/api/auth/me', renewed.access_token)).status).toBe(401)
  expect((await cage.post('/api/auth/refresh', { refresh_token: renewed.refresh_token })).status).toBe(401)
})

test.each([{}, { code: 7 }, { code: null }, { code: ['x'] }])('a code that is none (%j) is refused', async (body) => {
  const cage = await openTestRuntime()
  expect([400, 401]).toContain((await cage.post('/api/auth/exchange', body)).status)
})

test('no credential is in an event, a row or the log', async () => {
  const cage = await openTestRuntime({ log: { level: 'debug' } })
  const agent = cage.addAgent()
  const session = await cage.login()
  await agent.chat()
  await cage.get(`/gateway/${agent.token}/nothing`)
  await cage.get(`//gateway/${agent.token}/openai/v1/models`)
  await cage.get(`/api/snapshot?access_token=${session.access_token}`)
  await cage.post('/api/auth/refresh', { refresh_token: 'refresh_made_up' })
  const stored = JSON.stringify(cage.database.prepare('SELECT * FROM events').all())
  await cage.close()
  const { readdirSync, readFileSync } = await import('node:fs')
  const logs = readdirSync(`${cage.folder}/logs`)
    .map((name) => readFileSync(`${cage.folder}/logs/${name}`, 'utf8'))
    .join('')
  expect(logs).toContain('agent.started')
  for (const secret of [
    agent.token,
    session.access_token,
    session.refresh_token,
    'sk-of-the-agent',
    'sk-of-the-server',
  ]) {
    expect(stored).not.toContain(secret)
    expect(logs).not.toContain(secret)
  }
})

describe('events in pages', () => {
  test('events in pages are read forward and backward, filtered, each once', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    for (let call = 0; call < 12; call++) await agent.chat()
    const { access_token } = await cage.login()
    const page = async (query: string) =>
      (await cage.get(`/api/events?${query}`, access_token)).json() as {
        events: { seq: number; type: string }[]
        next: number | null
      }
    const all: number[] = []
    for (let after: number | null = 0; after !== null; ) {
      const { events, next } = await page(`after=${after}&limit=5`)
      all.push(...events.map(({ seq }) => seq))
      after = next
    }
    expect(all).toEqual(Array.from({ length: cage.runtime.state.read().seq }, (_, index) => index + 1))
    const { events } = await page(`type=call.completed&agent_id=${agent.id}&level=INFO,WARN&limit=1000`)
    expect(events).toHaveLength(12)
    expect((await page('agent_id=nobody')).events).toEqual([])
  })

  test.each(['limit=0', 'limit=1001', 'limit=x', 'after=-1', 'after=1.5', 'level=LOUD', 'before=x'])(
    'a page of events with %s is refused',
    async (query) => {
      const cage = await openTestRuntime()
      const { access_token } = await cage.login()
      expect((await cage.get(`/api/events?${query}`, access_token)).status).toBe(400)
    },
  )
})

test('a restarted server shows the same state as the one before it', async () => {
  const before = await openTestRuntime()
  const agent = before.addAgent()
  for (let call = 0; call < 3; call++) await agent.chat()
  await before.close()
  const shown = before.runtime.state.read().agents[agent.id]
  const after = await openTestRuntime({ folder: before.folder })
  expect(after.runtime.state.read().agents[agent.id]).toEqual(shown)
  expect(after.runtime.ledger.accounts.balance(agent.id)).toMatchObject({ spent: 15_000_000, held: 0 })
})

test('a second tab gets a session for the same person, and an API token cannot open one', async () => {
  const cage = await openTestRuntime()
  const { access_token } = await cage.login()
  const tab = (await cage.post('/api/auth/tab', {}, access_token)).json() as Record<string, string>
  expect(tab).toMatchObject({ role: 'admin', name: 'operator' })
  await cage.post('/api/auth/logout', {}, access_token)
  expect((await cage.get('/api/auth/me', tab.access_token)).status).toBe(200)
  const made = await cage.post('/api/tokens', { name: 'prometheus', role: 'viewer' }, tab.access_token)
  const { token } = made.json() as { token: string }
  expect((await cage.post('/api/auth/tab', {}, token)).status).toBe(409)
})

test('a person who opens an address that does not exist gets a page, a program an error', async () => {
  const cage = await openTestRuntime()
  const asked = (accept: string) => send(`${cage.url}/nowhere/<b>`, { method: 'GET', headers: { accept } })
  const page = await asked('text/html,*/*')
  expect([page.status, page.headers['content-type']]).toEqual([404, expect.stringContaining('text/html')])
  expect(page.text).not.toContain('<b>')
  expect((await asked('*/*')).json()).toMatchObject({ error: { code: 'not_found' } })
})
