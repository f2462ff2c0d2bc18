/** Agents that the snapshot has no place for any more are as reachable as those that are in it. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type AgentId, toRunId } from '../../src/core/ids.ts'
import { MAX_AGENTS } from '../../src/state/snapshot.ts'
import { openTestRuntime, type TestRuntime } from '../support/runtime.ts'

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'iron-cage-past-'))
  onTestFinished(() => rmSync(made, { recursive: true, force: true }))
  return made
}

/** An agent that has answered a call, reported progress and ended, and as many after it as there is room for. */
async function openWithPast(place: string) {
  const cage = await openTestRuntime({ folder: place, budget: { server_usd: '100' } })
  const first = cage.addAgent({ name: 'first' })
  expect((await first.chat()).status).toBe(200)
  const progress = { done: 7, total: 10, unit: 'leads' }
  expect((await cage.post('/api/run/progress', progress, first.token)).status).toBe(204)
  end(cage, first.id)
  for (let number = 0; number < MAX_AGENTS; number++) end(cage, cage.addAgent().id)
  expect(Object.keys(cage.runtime.state.read().agents)).not.toContain(first.id)
  return { cage, first }
}

const end = (cage: TestRuntime, agentId: AgentId) =>
  cage.runtime.state.record({
    type: 'agent.exited',
    level: 'OK',
    agent_id: agentId,
    message: 'ended',
    data: {
      run_id: toRunId('run-1'),
      exit_code: 0,
      signal: null,
      state: 'completed',
      reason: 'done',
      restart_in_ms: null,
    },
  })

describe('an agent that left the snapshot', () => {
  test('an agent that left the snapshot is shown as it was, and a later correction counts', async () => {
    const { cage, first } = await openWithPast(folder())
    const { access_token: admin } = await cage.login()
    const path = `/api/agents/${first.id}`
    const { spent } = first.balance()
    const { agent, budget } = (await cage.get(path, admin)).json() as Record<string, Record<string, unknown>>
    expect(agent).toMatchObject({ name: 'first', state: 'completed', spent_usd: spent, progress: { done: 7 } })
    expect(budget).toMatchObject({ spent_usd: spent })
    const [call] = ((await cage.get(`${path}/calls`, admin)).json() as { calls: { id: string }[] }).calls
    const correction = { cost_usd: '1.5', reason: 'invoice' }
    expect((await cage.post(`${path}/calls/${call!.id}/correct`, correction, admin)).status).toBe(200)
    expect((await cage.post(`${path}/budget`, { limit_usd: '20' }, admin, 'PATCH')).status).toBe(200)
    const shown = (await cage.get(`${path}/report`, admin)).json() as Record<string, Record<string, unknown>>
    expect(shown.agent).toMatchObject({ spent_usd: '1.5', limit_usd: '20' })
    expect(shown.costs).toMatchObject({ spent_usd: '1.5' })
    for (const format of ['csv', 'html']) {
      const { status, text } = await cage.get(`${path}/report?format=${format}`, admin)
      expect([status, text.includes(format === 'csv' ? call!.id : first.id)]).toEqual([200, true])
    }
    expect((await cage.get(`${path}/metrics`, admin)).json()).toMatchObject({ progress: '7 / 10 leads (70%)' })
    expect((await cage.post(`${path}/restart`, {}, admin)).json()).toMatchObject({
      error: { code: 'agent_not_running' },
    })
  })

  test('an agent that left the snapshot is found by name, beginning of id and script, after a restart too, and is listed', async () => {
    const place = folder()
    const { cage, first } = await openWithPast(place)
    const { access_token } = await cage.login()
    const find = async (on: TestRuntime, named: string, token: string) =>
      ((await on.get(`/api/agents/past?named=${named}`, token)).json() as { agents: { id: string }[] }).agents
    for (const named of ['first', first.id.slice(0, 8), 'first.py']) {
      expect(await find(cage, named, access_token), named).toMatchObject([{ id: first.id, state: 'completed' }])
    }
    await cage.close()
    const again = await openTestRuntime({ folder: place })
    const { access_token: admin } = await again.login()
    expect(await find(again, 'first', admin)).toMatchObject([{ id: first.id }])
    expect(again.runtime.state.findAgent(first.id)).toMatchObject({ progress: { done: 7 }, calls: { completed: 1 } })
  })

  test('an agent that left the snapshot lets its unresolved calls be released, after which the server has that money again', async () => {
    const place = folder()
    const { cage, first } = await openWithPast(place)
    await cage.close()
    const database = new Sqlite(join(place, 'state.db'))
    database
      .prepare(
        "INSERT INTO holds (agent_id, id, kind, target, model, held_nanos, started_at) VALUES (?, 'call-lost', 'llm', 'openai', 'penny', 480000000, '2026-01-01T00:00:00.000Z')",
      )
      .run(first.id)
    database.close()
    const again = await openTestRuntime({ folder: place, budget: { server_usd: '100' } })
    const { access_token: admin } = await again.login()
    const held = async () =>
      ((await again.get('/api/budgets', admin)).json() as { server: { held_usd: string } }).server.held_usd
    expect(await held()).toBe('0.48')
    const { status } = await again.post(
      `/api/agents/${first.id}/calls/call-lost/resolve`,
      { outcome: 'released' },
      admin,
    )
    expect([status, await held()]).toEqual([200, '0'])
  })

  test('an agent of which only rows are left is shown by them', async () => {
    const place = folder()
    const { cage, first } = await openWithPast(place)
    const { spent } = first.balance()
    await cage.close()
    const database = new Sqlite(join(place, 'state.db'))
    database.exec('DELETE FROM past_agents')
    database
      .prepare(
        "INSERT INTO runs VALUES ('run-1', ?, 'first', '/agents/first.py', 'development', 0, 1, NULL, '2026-01-01T00:00:00.000Z', '2026-01-01T01:00:00.000Z', 1, NULL)",
      )
      .run(first.id)
    database.close()
    const again = await openTestRuntime({ folder: place })
    const { access_token: admin } = await again.login()
    expect((await again.get(`/api/agents/${first.id}`, admin)).json()).toMatchObject({
      agent: { name: 'first', state: 'failed', exit_code: 1, spent_usd: spent },
    })
    expect((await again.get('/api/agents/lg-00000000', admin)).status).toBe(404)
  })
})
