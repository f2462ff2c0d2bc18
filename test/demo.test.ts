import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import Sqlite from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { DEMO_KEYS } from '../demo/operator.ts'
import { openStage } from '../demo/stage.ts'
import { readLeads, type WorldRequest } from '../demo/world.ts'
import { configSchema } from '../src/config/schema.ts'
import type { RuntimeEvent } from '../src/core/events.ts'
import type { AgentId } from '../src/core/ids.ts'
import { applyEvent } from '../src/state/apply-event.ts'
import { shownFigures } from '../src/state/figures-text.ts'
import { type AgentView, emptySnapshot, type Snapshot } from '../src/state/snapshot.ts'
import { newMasterKey } from '../src/vault/master-key.ts'
import { openParts } from './support/built.ts'

const root = resolve(import.meta.dirname, '..')
const leads = readLeads(join(root, 'demo/leads.csv'))

interface Show {
  agentId: AgentId
  /** The state when so many leads were done. */
  at(done: number): Snapshot
  agentAt(done: number): AgentView
  events: RuntimeEvent[]
  end: Snapshot
  mails: readonly string[]
  webhooks: readonly string[]
  requests: readonly WorldRequest[]
}

/** Runs the demo at full speed. `onEvent` may interfere. */
async function play(options: {
  paceMs?: number
  onEvent?: (event: RuntimeEvent, snapshot: Snapshot) => void
}): Promise<Show> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-demo-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const given = configSchema.parse({
    server: { port: 0 },
    db: { path: join(folder, 'iron_state.db') },
    log: { dir: join(folder, 'logs') },
    budget: { limit_usd: '50' },
  })
  await using stage = await openStage({ leads, paceMs: options.paceMs ?? 0, given })
  const runtime = await openParts({
    config: stage.config,
    configFile: null,
    environment: { PATH: process.env.PATH! },
    masterKey: newMasterKey(),
    version: 'test',
  })
  try {
    await stage.prepare(runtime)
    const events: RuntimeEvent[] = []
    runtime.state.subscribe((event) => {
      events.push(event)
      options.onEvent?.(event, runtime.state.read())
    })
    const before = runtime.state.read()
    const { agentId } = await runtime.supervisor.start({ script: join(root, 'demo/lead_gen_agent.py') })
    const { exitCode } = await runtime.supervisor.whenEnded(agentId)
    expect(exitCode).toBe(0)
    await runtime.close('the show is over')
    const at = (done: number) => {
      const isThere = (event: RuntimeEvent) => event.type === 'progress.updated' && event.data.done === done
      const until = events.findIndex(isThere)
      expect(until, `${done} leads were done`).toBeGreaterThan(-1)
      return events.slice(0, until + 1).reduce(applyEvent, before)
    }
    return {
      agentId,
      events,
      at,
      agentAt: (done) => at(done).agents[agentId]!,
      end: runtime.state.read(),
      mails: [...stage.inbox.mails],
      webhooks: [...stage.inbox.webhooks],
      requests: [...stage.world.requests],
    }
  } finally {
    await runtime.close('the test is over')
  }
}

describe('the demo at full speed', () => {
  test('the demo at full speed meets every checkpoint', async () => {
    const show = await play({})
    const shown = (done: number) => shownFigures(show.agentAt(done), Date.now())
    const ofType = <T extends RuntimeEvent['type']>(type: T) =>
      show.events.filter((event): event is Extract<RuntimeEvent, { type: T }> => event.type === type)

    // Lead 23
    expect(shown(23)).toMatchObject({
      spent: '$5.29 / $50.00',
      used: '10.6% used',
      average: '$0.23 avg/lead',
      projection: 'Projection: $23.00 total',
      budget_status: 'under_budget',
      progress: '23 / 100 leads (23%)',
      success: '100% (23/23)',
    })

    // Lead 34: five failures within it, the circuit opens, cached data answers, the lead is done all the same
    expect(show.at(33).circuits.linkedin_api).toMatchObject({ state: 'closed', trips: 0 })
    expect(show.at(34).circuits.linkedin_api).toMatchObject({
      state: 'open',
      trips: 1,
      cooldown_ms: 1_800_000,
      blocked: 0,
    })
    expect(show.agentAt(34).outcomes).toEqual({ succeeded: 34, failed: 0, degraded: 1 })
    expect(ofType('circuit.opened')).toHaveLength(1)
    expect(ofType('circuit.opened')[0]!.data).toMatchObject({ failures: 5, tier: 2 })

    // Lead 50: a new key, in the same process; the provider soon sees no other, and nothing fails. Lead 51 may begin
    // while the key is being changed.
    expect(ofType('secret.updated').map(({ data }) => [data.name, data.version])).toEqual([['OPENAI_API_KEY', 2]])
    expect(ofType('secret.rotated').map(({ data }) => [data.reloaded, data.restart_required])).toEqual([[1, 0]])
    const calls = show.requests.filter(({ service }) => service === 'openai')
    const [first, second] = DEMO_KEYS
    expect(new Set(calls.filter(({ lead }) => lead! <= 50).map(({ key }) => key))).toEqual(new Set([first]))
    expect(new Set(calls.filter(({ lead }) => lead! > 51).map(({ key }) => key))).toEqual(new Set([second]))
    expect(show.agentAt(49).outcomes.succeeded).toBe(49)
    expect(new Set(ofType('agent.started').map(({ data }) => data.pid))).toEqual(new Set([show.agentAt(51).pid]))
    expect(show.end.agents[show.agentId]!.calls.failed).toBe(0)

    // Leads 67, 78, 91: the finding, never its value
    expect(ofType('pii.found').map(({ data }) => [data.unit, data.pii_type, data.action, data.place])).toEqual([
      ['lead 67', 'email', 'redact', 'reply'],
      ['lead 78', 'phone', 'redact', 'reply'],
      ['lead 91', 'email', 'redact', 'reply'],
    ])

    // Lead 85: the warning once, at its first call; the model is changed with lead 86
    expect(ofType('budget.warned').map(({ data }) => data.spent_usd)).toEqual(['45.07'])
    expect(show.agentAt(84).spent_usd).toBe('44.82')
    expect(show.agentAt(85)).toMatchObject({ spent_usd: '45.55', warned: true })
    expect(show.agentAt(85).by_model).not.toHaveProperty('gpt-3.5-turbo')
    expect(show.agentAt(86).by_model['gpt-3.5-turbo']).toMatchObject({ calls: 3, cost_usd: '0.0135' })

    // Leads 58 and 92 fail by the agent's own check
    expect(show.agentAt(58).outcomes.failed - show.agentAt(57).outcomes.failed).toBe(1)
    expect(show.agentAt(92).outcomes.failed - show.agentAt(91).outcomes.failed).toBe(1)

    // The end
    const agent = show.end.agents[show.agentId]!
    expect(agent).toMatchObject({ state: 'completed', restarts: 0, spent_usd: '45.9025', pii: { email: 2, phone: 1 } })
    expect(shownFigures(agent, Date.now())).toMatchObject({
      spent: '$45.90 / $50.00',
      used: '91.8% used',
      success: '98% (98/100)',
      leaks_stopped: 3,
      blocked_saved_usd: '6.6',
      baseline_usd: '63.1',
      cache_hits: '34%',
    })
    expect(agent.by_service.linkedin_api).toMatchObject({ live: 33, cached: 67, blocked: 66, saved_usd: '6.6' })
    expect(show.end.circuits.linkedin_api).toMatchObject({ state: 'open', trips: 1, blocked: 66, fallbacks: 67 })

    // Alerts that really arrived: one e-mail; webhooks for circuit, rotation, three findings, warning
    expect(show.mails).toHaveLength(1)
    expect(show.webhooks).toHaveLength(6)
    const everything = JSON.stringify([show.events, show.mails, show.webhooks])
    expect(everything).not.toContain('ceo@piileaker.com')
  })

  test('the demo killed at lead 40 goes on at lead 41 and ends with the same numbers', async () => {
    let isKilled = false
    const show = await play({
      paceMs: 20,
      onEvent(event, snapshot) {
        if (isKilled || event.type !== 'progress.updated' || event.data.done !== 40) return
        isKilled = true
        process.kill(snapshot.agents[event.agent_id!]!.pid!, 'SIGKILL')
      },
    })
    expect(show.end.agents[show.agentId]).toMatchObject({
      state: 'completed',
      restarts: 1,
      spent_usd: '45.9025',
      outcomes: { succeeded: 98, failed: 2, degraded: 67 },
      pii: { email: 2, phone: 1 },
    })
    const exits = show.events.filter((event) => event.type === 'agent.exited')
    expect(exits[0]!.data).toMatchObject({ exit_code: null, signal: 'SIGKILL', state: 'starting' })
  })
})

/** The server has ended with the agent: the values of the last lines are commands. */
async function writesItsReport(folder: string, printed: string): Promise<void> {
  const program = `${process.execPath} ${join(root, 'bin/iron-cage.cjs')}`
  const command = /^Report +(.+)$/m.exec(printed)![1]!.replace(/^iron-cage/, program)
  await promisify(execFile)('sh', ['-c', command], { cwd: folder, env: { PATH: process.env.PATH, HOME: folder } })
  const report = readFileSync(join(folder, 'report.html'), 'utf8')
  expect(report).toContain(/FINAL REPORT · (lg-\w+)/.exec(printed)![1]!)
  expect(report).toContain('$45.90')
}

describe('iron-cage demo', () => {
  test.each([
    ['with nothing but Python, rehearsed twice in one folder', ['--check'], {}, 2],
    ['with LangChain', ['--pace', 'max', '--once'], { VIRTUAL_ENV: join(root, '.venv-test') }, 1],
  ])('the demo %s meets its checkpoints and leaves a ledger that adds up', async (_how, flags, environment, runs) => {
    const folder = mkdtempSync(join(tmpdir(), 'iron-cage-demo-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const args = [join(root, 'bin/iron-cage.cjs'), 'demo', ...flags, '--port', '0']
    const env = { PATH: process.env.PATH!, HOME: folder, ...environment }
    let last = ''
    for (let run = 0; run < runs; run++) {
      const output = (await promisify(execFile)(process.execPath, args, { cwd: folder, env })).stdout
      last = output
      expect(output).toContain('Total              $45.90 of $50.00 (91.8% used)')
      expect(output).toContain('Success                             98% (98/100)')
      expect(output).toMatch(/lead_gen_agent has the new OPENAI_API_KEY, after \d+ ms/)
      expect(output).toMatch(/Circuit OPEN for linkedin_api after 5 failures · fallback tier 2 \(cached data\)/)
      expect(output).not.toContain('piileaker.com')
      const checked = Array(7).fill(expect.stringMatching(/^✔/))
      expect(output.match(/^[✔✖] .+/gm)).toEqual(flags.includes('--check') ? checked : null)
    }
    if (flags.includes('--once')) await writesItsReport(folder, last)
    const database = new Sqlite(join(folder, 'iron_demo.db'), { readonly: true })
    onTestFinished(() => void database.close())
    const totals = database
      .prepare("SELECT agent_id, sum(cost_nanos) AS nanos FROM calls WHERE state = 'charged' GROUP BY agent_id")
      .all()
    expect(totals).toEqual(Array(runs).fill(expect.objectContaining({ nanos: 45_902_500_000 })))
    expect(database.prepare("SELECT count(*) AS open FROM ledger WHERE state IN ('held', 'unresolved')").get()).toEqual(
      {
        open: 0,
      },
    )
    const events = database.prepare('SELECT * FROM events ORDER BY seq').all() as (RuntimeEvent & { data: string })[]
    const replayed = events
      .map((row) => ({ ...row, data: JSON.parse(row.data) }) as RuntimeEvent)
      .reduce(applyEvent, emptySnapshot())
    expect(Object.values(replayed.agents).map(({ spent_usd }) => spent_usd)).toEqual(Array(runs).fill('45.9025'))
  })
})
