import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { auditHeadPath, auditKeyPath } from '../../src/db/files.ts'
import { openPlace } from '../cli/support.ts'
import { listRoutes } from '../support/deps.ts'
import { answer } from '../support/provider.ts'
import { openTestRuntime, send, type TestRuntime } from '../support/runtime.ts'

interface Row {
  seq: number
  role: string
  actor: string
  action: string
  target: string | null
  details: string
}

const rows = (cage: TestRuntime): Row[] => cage.database.prepare('SELECT * FROM audit ORDER BY seq').all() as Row[]
const actions = (cage: TestRuntime): string[] => rows(cage).map(({ action }) => action)

/** Their texts are looked at and not kept. */
const CHANGE_NOTHING = ['/api/scan']

describe('the audit of a server', () => {
  test('the audit of a server records sign-ins, failed attempts, actions of people, and events of money and personal data', async () => {
    const cage = await openTestRuntime()
    const { access_token: token } = await cage.login()
    await cage.post('/api/auth/exchange', { code: 'code_wrong' })
    await cage.get('/api/snapshot', 'nonsense')
    const agent = cage.addAgent({ limit: '10' })
    cage.provider.does(answer({ text: 'Ask jane.canary@northwind-traders.com for help.' }))
    await agent.chat()
    await cage.post(`/api/agents/${agent.id}/budget`, { limit_usd: '25' }, token, 'PATCH')
    await cage.post(`/api/agents/${agent.id}/pause`, {}, token)
    const created = await cage.post('/api/tokens', { name: 'ci', role: 'admin' }, token)
    const { id: tokenId, token: apiToken } = created.json() as { id: string; token: string }
    await cage.post('/api/circuits/openai/reset', {}, apiToken)

    expect(rows(cage).map(({ role, actor, action, target }) => [role, actor, action, target])).toEqual([
      ['system', 'iron-cage', 'config.loaded', null],
      ['admin', 'operator', 'auth.sign_in', null],
      ['nobody', 'unknown', 'auth.failed', null],
      ['nobody', 'unknown', 'auth.failed', null],
      ['agent', agent.id, 'pii.found', expect.stringMatching(/^pii-/)],
      ['admin', 'operator', 'budget.change', agent.id],
      ['admin', 'operator', 'budget.changed', agent.id],
      ['admin', 'operator', 'agent.pause', agent.id],
      // It has no process.
      ['admin', 'operator', 'agent.pause.failed', agent.id],
      ['admin', 'operator', 'token.create', null],
      ['admin', 'operator', 'token.created', tokenId],
      ['admin', `ci (${tokenId})`, 'circuit.reset', 'openai'],
    ])
    expect(JSON.parse(rows(cage)[6]!.details)).toEqual({ from_usd: '10', limit_usd: '25' })
    expect((await cage.get('/api/audit/verify', token)).json()).toMatchObject({ ok: true, rows: 12 })
    expect((await cage.get('/api/audit?limit=2', token)).json()).toMatchObject({
      rows: [{ seq: 12 }, { seq: 11 }],
      next: 11,
    })
  })

  test('every route that changes something writes its audit row first', async () => {
    const cage = await openTestRuntime()
    const { access_token: token } = await cage.login()
    const routes = await listRoutes()
    const changing = routes.filter(
      ({ method, path }) =>
        !['ALL', 'GET'].includes(method) && !/^\/api\/(run|auth)/.test(path) && !CHANGE_NOTHING.includes(path),
    )
    expect(changing.length).toBeGreaterThan(8)
    for (const { method, path } of changing) {
      const before = rows(cage).length
      await send(cage.url + path.replaceAll(/:\w+/g, 'nothing'), {
        method: method as 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: '{}',
      })
      expect(rows(cage)[before], `${method} ${path}`).toMatchObject({ role: 'admin', actor: 'operator' })
    }
  })

  test('the audit of a server is for admins only', async () => {
    const cage = await openTestRuntime()
    const { access_token: token } = await cage.login()
    const viewer = (await cage.post('/api/tokens', { name: 'screen', role: 'viewer' }, token)).json().token as string
    for (const path of ['/api/audit', '/api/audit/verify', '/api/audit/export']) {
      expect((await cage.get(path, viewer)).status, path).toBe(403)
      expect((await cage.get(path, cage.addAgent().token)).status, path).toBe(403)
    }
  })

  test('a change is refused when its audit row cannot be written', async () => {
    const cage = await openTestRuntime()
    const { access_token: token } = await cage.login()
    const agent = cage.addAgent({ limit: '10' })
    const other = new Sqlite(join(cage.folder, 'state.db'))
    // Another program has the file: nothing can be written.
    other.exec('BEGIN IMMEDIATE')
    const refused = await cage.post(`/api/agents/${agent.id}/budget`, { limit_usd: '999' }, token, 'PATCH')
    expect([refused.status, refused.json()]).toMatchObject([503, { error: { code: 'database_unusable' } }])
    expect(agent.balance().limit).toBe('10')
    other.exec('ROLLBACK')
    other.close()
    const done = await cage.post(`/api/agents/${agent.id}/budget`, { limit_usd: '999' }, token, 'PATCH')
    expect(done.status).toBe(200)
    expect(actions(cage)).not.toContain('budget.change.failed')
  })

  test('an audit that was tampered with is reported at the next start: as an alert, on the terminal and in the log', async () => {
    const first = await openTestRuntime()
    await first.login()
    await first.close()
    const client = new Sqlite(join(first.folder, 'state.db'))
    client.exec("DROP TRIGGER audit_is_never_updated; UPDATE audit SET actor = 'x' WHERE seq = 2")
    client.close()
    const second = await openTestRuntime({ folder: first.folder })
    const broken = second.runtime.state.read().recent.find(({ type }) => type === 'audit.broken')
    expect(broken).toMatchObject({ level: 'CRIT', data: { row: 2 } })
    const { alerts } = second.runtime.state.read()
    expect(alerts[0]).toMatchObject({ kind: 'audit_broken', title: 'Audit tampered with' })
    await second.close()
    const folder = join(second.folder, 'logs')
    const log = readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('')
    expect(log).toContain('row 2 is not as it was written')
  })
})

describe('iron-cage audit', () => {
  test('iron-cage audit verifies and exports a file, and Python verifies the export by the document alone', async () => {
    const cage = await openTestRuntime()
    await cage.login()
    await cage.post('/api/auth/exchange', { code: 'Grüße 🙂' })
    const place = openPlace()
    const database = join(cage.folder, 'state.db')
    // Also while the server runs.
    expect((await place.run(['audit', 'verify', '--db', database])).out).toContain('3 rows, unchanged')
    await cage.close()

    const sound = await place.run(['audit', 'verify', '--db', database])
    expect(sound).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^3 rows, unchanged; head [0-9a-f]{64}\n$/),
    })

    const exported = await place.run(['audit', 'export', '--db', database])
    const lines = exported.out.trim().split('\n')
    expect(JSON.parse(lines[0]!)).toMatchObject({ format: 'iron-cage audit 1' })
    expect(lines).toHaveLength(4)

    const document = readFileSync(resolve(import.meta.dirname, '../../docs/audit.md'), 'utf8')
    place.write('verify.py', /```python\n(.+?)```/s.exec(document)![1]!)
    place.write('audit.jsonl', exported.out)
    const python = (file: string) =>
      execFileSync('python3', ['verify.py', file, auditKeyPath(database), auditHeadPath(database)], {
        cwd: place.folder,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      })
    expect(python('audit.jsonl')).toBe('3 rows, chain intact\n')
    place.write('edited.jsonl', exported.out.replace('"operator"', '"nobody"'))
    expect(() => python('edited.jsonl')).toThrow('row 2 does not match its hash')
    place.write('cut.jsonl', `${lines.slice(0, 3).join('\n')}\n`)
    expect(() => python('cut.jsonl')).toThrow('rows 3 to 3 are missing')
  })

  test('iron-cage audit exits 8 and names the first bad row', async () => {
    const cage = await openTestRuntime()
    await cage.login()
    await cage.close()
    const database = join(cage.folder, 'state.db')
    const client = new Sqlite(database)
    client.exec("DROP TRIGGER audit_is_never_updated; UPDATE audit SET actor = 'x' WHERE seq = 2")
    client.close()
    const place = openPlace()
    const bad = await place.run(['audit', 'verify', '--db', database])
    expect(bad.code).toBe(8)
    expect(bad.err).toContain('row 2 is not as it was written')
    const missing = await place.run(['audit', 'verify', '--db', 'nothing.db'])
    expect(missing).toMatchObject({ code: 5, err: expect.stringContaining('there is no database nothing.db') })
    const env = { IRON_CAGE_URL: 'http://localhost:8090' }
    expect((await place.type(['audit', 'export', '--db', 'nothing.db'], { env })).err).toContain(
      'this reads a file, never http://localhost:8090 (IRON_CAGE_URL)',
    )
    writeFileSync(auditKeyPath(database), 'short\n')
    expect(await place.run(['audit', 'verify', '--db', database])).toMatchObject({
      code: 8,
      err: expect.stringContaining('does not hold a key'),
    })
  })
})
