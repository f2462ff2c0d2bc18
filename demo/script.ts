/**
 * `iron-cage demo`: runs this folder's agent offline, without any key, with the product's ordinary code. Only the
 * outside world is simulated (`stage.ts`); every number on screen is computed from what happened.
 */
import { resolve } from 'node:path'
import { reportLines } from '../src/cli/output/report-lines.ts'
import type { Terminal } from '../src/cli/output/terminal.ts'
import { readConfig } from '../src/cli/settings/read-config.ts'
import { runAgent } from '../src/cli/start/run-agent.ts'
import type { LoadedConfig } from '../src/config/config.ts'
import { CageError, ERRORS } from '../src/core/errors.ts'
import type { EventType } from '../src/core/events.ts'
import { packageFolder } from '../src/core/package-folder.ts'
import type { RuntimeParts } from '../src/runtime.ts'
import { shownFigures } from '../src/state/figures-text.ts'
import { type Rehearsal, rehearse, THE_SHOW } from './check.ts'
import { withFailures } from './failures.ts'
import { DATABASE, type DemoFlags } from './flags.ts'
import type { Inbox } from './inbox.ts'
import { demoMasterKey } from './master-key.ts'
import { RECOVERY, recoveringWorld, recoveryPace } from './recovery.ts'
import { openStage } from './stage.ts'
import { readLeads } from './world.ts'

const MAX_PACE = 360_000
/** The typical latency of real services. */
const LATENCY_MS = 40

/** Events that an audience follows; the log and the dashboard show the rest. */
const SHOWN = new Set<EventType>([
  'agent.started',
  'agent.exited',
  'agent.stopped',
  'agent.paused',
  'agent.resumed',
  'unit.completed',
  'circuit.opened',
  'circuit.half_opened',
  'circuit.closed',
  'budget.warned',
  'budget.exhausted',
  'budget.raised',
  'secret.updated',
  'secret.reloaded',
  'secret.reload_failed',
  'secret.rotated',
  'secret.rolled_back',
  'pii.found',
  'alert.delivered',
  'alert.failed',
])

/** Throws the errors of `runAgent`, and CageError `usage` for flags. */
export async function runDemo(
  { pace, check, fail, recovery, open, ...flags }: DemoFlags,
  terminal: Terminal,
): Promise<void> {
  if (check && fail !== undefined) {
    throw new CageError('usage', '--check knows the usual failures only', { hint: 'omit --fail or --check' })
  }
  const requestedMs = check ? 0 : parsePace(pace)
  const paceMs = recovery ? recoveryPace(requestedMs) : requestedMs
  const once = check || flags.once === true
  const usual = readLeads(`${packageFolder()}demo/leads.csv`)
  const leads = fail === undefined ? usual : withFailures(usual, fail)
  const loaded = withOwnDatabase(await readConfig(flags, terminal))
  const latencyMs = requestedMs === 0 ? 0 : LATENCY_MS
  const outage = recovery ? recoveringWorld(leads, paceMs) : {}
  await using stage = await openStage({ leads, latencyMs, paceMs, given: loaded.config, ...outage })
  let rehearsal: Rehearsal | undefined
  await runAgent(
    {
      loaded: { ...loaded, config: stage.config },
      script: 'demo/lead_gen_agent.py',
      agent: { script: `${packageFolder()}demo/lead_gen_agent.py` },
      keep: !once,
      open,
      prepare: async (runtime) => {
        await stage.prepare(runtime)
        if (check) rehearsal = rehearse(runtime, recovery ? RECOVERY : THE_SHOW)
      },
      masterKey: demoMasterKey(resolve(stage.config.db.path)),
      shows: ({ type }) => SHOWN.has(type),
      report: (runtime, agentId) => report(runtime, agentId, stage.inbox, once),
    },
    terminal,
  )
  if (!rehearsal) return
  const { lines, isGood } = rehearsal.checked()
  for (const line of lines) terminal.out(line)
  if (!isGood) terminal.exitCode = ERRORS.internal.exit
}

/** The demo's vault must not conflict with a vault of another key, nor its events mix with others. */
function withOwnDatabase(loaded: LoadedConfig): LoadedConfig {
  if (loaded.origins['db.path'] !== 'default') return loaded
  return { ...loaded, config: { ...loaded.config, db: { ...loaded.config.db, path: DATABASE } } }
}

/** Minimum milliseconds per lead. Throws CageError `usage`. */
function parsePace(pace: string): number {
  if (pace === 'max') return 0
  const leadsAnHour = Number(pace)
  if (/^\d+$/.test(pace) && leadsAnHour >= 1 && leadsAnHour <= MAX_PACE) return Math.round(3_600_000 / leadsAnHour)
  throw new CageError('usage', `--pace: expected leads an hour from 1 to ${MAX_PACE}, or max; got "${pace}"`, {
    hint: 'try --pace 3600',
  })
}

function report(runtime: RuntimeParts, agentId: string, inbox: Inbox, isOver: boolean): string[] {
  const { agents, circuits } = runtime.state.read()
  return [
    '',
    ...reportLines({
      agent: agents[agentId]!,
      circuits: Object.values(circuits),
      figures: shownFigures(agents[agentId]!, runtime.state.now()),
      footer: {
        Alerts: `${inbox.mails.length} e-mail, ${inbox.webhooks.length} webhooks received`,
        Log: resolve(runtime.log.path),
        Database: resolve(runtime.config.db.path),
        ...(isOver
          ? { Report: `iron-cage report ${agentId} --format html --db ${runtime.config.db.path} > report.html` }
          : {
              Report: runtime.dashboardLink().replace('/#', `/reports/${agentId}#`),
              Booth: `${runtime.dashboardLink().replace('/#', '/#/booth?')} (four promises, kept as you watch)`,
              Dashboard: `${runtime.url} (stays open; Ctrl-C ends)`,
            }),
      },
    }),
  ]
}
