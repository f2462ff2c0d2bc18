/** A report that is shared by a link. */
import { expect, test } from 'vitest'
import type { ReportLink } from '../../../src/access/report-links.ts'
import { TestClock } from '../../support/clock.ts'
import { answer } from '../../support/provider.ts'
import { openTestRuntime, type TestRuntime } from '../../support/runtime.ts'

type Created = ReportLink & { token: string; url: string }

const DAY_MS = 86_400_000

const share = async (cage: TestRuntime, id: string, admin: string, body: object = {}): Promise<Created> =>
  (await cage.post(`/api/agents/${id}/report/links`, body, admin)).json() as unknown as Created

const open = (cage: TestRuntime, token?: string) => cage.get('/api/shared-report', token)

const actions = (cage: TestRuntime) =>
  cage.database.prepare("SELECT role, action, target FROM audit WHERE action LIKE 'report.%' ORDER BY seq").all()

test('a report link gives its holder that report, redacted, and no other data', async () => {
  const cage = await openTestRuntime()
  cage.provider.does(answer({ text: 'Ask ceo@acme.com' }))
  const agent = cage.addAgent({ name: 'sharer' })
  await agent.chat()
  const { access_token: admin } = await cage.login()
  const { token, url } = await share(cage, agent.id, admin)
  expect(url).toBe(`${cage.runtime.url}/shared#${token}`)
  const report = await open(cage, token)
  expect(report.status).toBe(200)
  expect(report.text).toContain(`sharer <code>${agent.id}</code>`)
  expect(report.text).not.toContain('ceo@acme.com')
  for (const path of ['/api/agents', `/api/agents/${agent.id}/report`, '/api/snapshot', '/api/calls']) {
    expect((await cage.get(path, token)).status, path).toBe(401)
  }
  expect((await cage.post('/api/auth/ws-ticket', {}, token)).status).toBe(401)
})

test('ends when it expires, also when the clock is set back, and when it is revoked', async () => {
  const clock = new TestClock()
  const cage = await openTestRuntime({ clock })
  const agent = cage.addAgent()
  const { access_token: admin } = await cage.login()
  const short = await share(cage, agent.id, admin, { expires_in_s: 3_600 })
  const long = await share(cage, agent.id, admin, { expires_in_s: 7 * 86_400 })
  expect((await open(cage, short.token)).status).toBe(200)
  clock.advance(DAY_MS)
  expect((await open(cage, short.token)).status).toBe(401)
  clock.setWall(-DAY_MS)
  expect((await open(cage, short.token)).status).toBe(401)
  expect((await open(cage, long.token)).status).toBe(200)
  const { access_token: again } = await cage.login()
  const { links } = (await cage.get(`/api/agents/${agent.id}/report/links`, again)).json()
  expect(links).toMatchObject([{ id: long.id, created_by: 'operator' }])
  expect(JSON.stringify(links)).not.toContain('link_')
  expect((await cage.post(`/api/report-links/${long.id}`, {}, again, 'DELETE')).status).toBe(204)
  expect((await open(cage, long.token)).status).toBe(401)
  expect((await cage.post(`/api/report-links/${long.id}`, {}, again, 'DELETE')).status).toBe(404)
})

test('a report link is created by admins only and stored as a hash, and the audit names who created, opened and revoked it', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const { access_token: admin } = await cage.login()
  const { token: viewer } = (await cage.post('/api/tokens', { name: 'v', role: 'viewer' }, admin)).json()
  const path = `/api/agents/${agent.id}/report/links`
  expect((await cage.post(path, {}, viewer as string)).status).toBe(403)
  expect((await cage.post(path, {}, agent.token)).status).toBe(403)
  expect((await cage.post(path, { expires_in_s: 91 * 86_400 }, admin)).status).toBe(400)
  const { id, token } = await share(cage, agent.id, admin)
  await open(cage, token)
  await open(cage, token)
  await cage.post(`/api/report-links/${id}`, {}, admin, 'DELETE')
  expect(actions(cage)).toEqual([
    { role: 'admin', action: 'report.share', target: agent.id },
    { role: 'admin', action: 'report.share.failed', target: agent.id },
    { role: 'admin', action: 'report.share', target: agent.id },
    { role: 'admin', action: 'report.shared', target: id },
    // Readings within a minute are one row.
    { role: 'nobody', action: 'report.opened', target: agent.id },
    { role: 'admin', action: 'report.unshare', target: id },
  ])
  const rows = JSON.stringify(cage.database.prepare('SELECT * FROM report_links').all())
  expect(rows).not.toContain(token.slice('link_'.length))
  expect(rows).toMatch(/"hash":"[0-9a-f]{64}"/)
})

test('a report is refused without a token, with another kind of token, and with a guessed one, and that is recorded', async () => {
  const cage = await openTestRuntime()
  const { access_token: admin } = await cage.login()
  for (const token of [undefined, admin, cage.addAgent().token, `link_${'A1b'.repeat(14)}C`]) {
    expect((await open(cage, token)).status).toBe(401)
  }
  expect(cage.of('auth.failed').map(({ data }) => data.route)).toEqual(Array(4).fill('GET /api/shared-report'))
})

test('works after a restart of the server', async () => {
  const first = await openTestRuntime()
  const agent = first.addAgent({ name: 'sharer' })
  const { access_token: admin } = await first.login()
  const { token } = await share(first, agent.id, admin)
  await first.close()
  const second = await openTestRuntime({ folder: first.folder })
  expect((await open(second, token)).text).toContain('sharer')
})
