/**
 * `demo --check`: what must be true at each point of the story. Everything is computed from the show's events, as on
 * the dashboard.
 */
import type { EventType, RuntimeEvent } from '../src/core/events.ts'
import { showUsd } from '../src/core/money.ts'
import type { RuntimeParts } from '../src/runtime.ts'
import { applyEvent } from '../src/state/apply-event.ts'
import { shownFigures } from '../src/state/figures-text.ts'
import type { Snapshot } from '../src/state/snapshot.ts'
import { DEMO_AGENT } from './world-config.ts'

export interface Checkpoint {
  when: string
  /** The presenter's words. */
  expected: string
  actual(show: Show): string
}

/** Checkpoints of both shows: with and without LinkedIn's recovery. */
export const EVERY_SHOW: readonly Checkpoint[] = [
  {
    when: 'lead 23',
    expected: '$5.29 / $50.00 · 10.6% used · $0.23 avg/lead · Projection: $23.00 total · 23 / 100 leads (23%)',
    actual: (show) => {
      const { spent, used, average, projection, progress } = show.figures(23)
      return [spent, used, average, projection, progress].join(' · ')
    },
  },
  {
    when: 'lead 34',
    expected: 'linkedin_api: closed before, open after 5 failures; cached data, lead done',
    actual: (show) => {
      const before = show.at(33).circuits.linkedin_api?.state
      const { state } = show.at(34).circuits.linkedin_api ?? {}
      const opened = show.of('circuit.opened').map(({ data }) => `${data.failures} failures`)
      const { degraded, failed } = show.agent(34).outcomes
      const lead = degraded === 1 && failed === 0 ? 'cached data, lead done' : `${degraded} degraded, ${failed} failed`
      return `linkedin_api: ${before} before, ${state} after ${opened.join(', ')}; ${lead}`
    },
  },
  {
    when: 'lead 50',
    expected: 'key rotated, 1 agent has it; the same process, 0 failed calls',
    actual: (show) => {
      const reloaded = show.of('secret.rotated').map(({ data }) => data.reloaded)
      const isSame = show.agent(49).pid === show.agent(51).pid
      const { failed } = show.end().calls
      return `key rotated, ${reloaded.join(', ')} agent has it; ${isSame ? 'the same' : 'another'} process, ${failed} failed calls`
    },
  },
  {
    when: 'leads 58, 92',
    expected: "1 and 1 failed by the agent's own check",
    actual: (show) => {
      const failedAt = (lead: number) => show.agent(lead).outcomes.failed - show.agent(lead - 1).outcomes.failed
      return `${failedAt(58)} and ${failedAt(92)} failed by the agent's own check`
    },
  },
  {
    when: 'leads 67, 78, 91',
    expected: 'lead 67 email redact, lead 78 phone redact, lead 91 email redact',
    actual: (show) =>
      show
        .of('pii.found')
        .map(({ data }) => `${data.unit} ${data.pii_type} ${data.action}`)
        .join(', '),
  },
]

/** LinkedIn stays down. */
export const THE_SHOW: readonly Checkpoint[] = [
  ...EVERY_SHOW,
  {
    when: 'lead 85',
    expected: 'warned at $45.07; $45.55 when done; gpt-3.5-turbo from lead 86',
    actual: (show) => {
      const warnings = show.of('budget.warned').map(({ data }) => showUsd(data.spent_usd))
      const cheaper = [85, 86].find((lead) => 'gpt-3.5-turbo' in show.agent(lead).by_model)
      return `warned at ${warnings.join(', ')}; ${showUsd(show.agent(85).spent_usd)} when done; gpt-3.5-turbo from lead ${cheaper}`
    },
  },
  {
    when: 'the end',
    expected:
      'completed, $45.90 / $50.00, 91.8% used, 98% (98/100), 66 blocked, 67 from the cache, 3 findings, 0 restarts',
    actual: (show) => {
      const agent = show.end()
      const { spent, used, success, leaks_stopped } = show.figures(100)
      const { blocked, cached } = agent.by_service.linkedin_api ?? {}
      return `${agent.state}, ${spent}, ${used}, ${success}, ${blocked} blocked, ${cached} from the cache, ${leaks_stopped} findings, ${agent.restarts} restarts`
    },
  },
]

export interface Rehearsal {
  checked(): { lines: string[]; isGood: boolean }
}

/** Collects events from now on. */
export function rehearse({ state }: Pick<RuntimeParts, 'state'>, checkpoints: readonly Checkpoint[]): Rehearsal {
  const before = state.read()
  const events: RuntimeEvent[] = []
  state.subscribe((event) => events.push(event))
  return {
    checked() {
      const show = new Show(before, events)
      const results = checkpoints.map(({ when, expected, actual }) => ({ when, expected, got: attempt(actual, show) }))
      return {
        isGood: results.every(({ expected, got }) => expected === got),
        lines: results.flatMap(({ when, expected, got }) =>
          got === expected
            ? [`✔ ${when.padEnd(16)}  ${got}`]
            : [`✖ ${when.padEnd(16)}  ${got}`, `  ${''.padEnd(16)}  expected: ${expected}`],
        ),
      }
    },
  }
}

class Show {
  readonly #before: Snapshot
  readonly #events: readonly RuntimeEvent[]
  constructor(before: Snapshot, events: readonly RuntimeEvent[]) {
    this.#before = before
    this.#events = events
  }

  of<Type extends EventType>(type: Type): Extract<RuntimeEvent, { type: Type }>[] {
    return this.#events.filter((event): event is Extract<RuntimeEvent, { type: Type }> => event.type === type)
  }

  /** The state after `done` leads. Throws when that was never reached. */
  at(done: number): Snapshot {
    const until = this.#events.findIndex((event) => event.type === 'progress.updated' && event.data.done === done)
    if (until < 0) throw new Error(`lead ${done} was never done`)
    return this.#events.slice(0, until + 1).reduce(applyEvent, this.#before)
  }

  agent(done: number) {
    return newest(this.at(done))
  }

  end() {
    return newest(this.#events.reduce(applyEvent, this.#before))
  }

  figures(done: number) {
    const agent = done === 100 ? this.end() : this.agent(done)
    return shownFigures(agent, Date.parse(this.at(done).at ?? ''))
  }
}

/** The same database may contain an earlier show. */
const newest = ({ agents }: Snapshot) => Object.values(agents).findLast(({ name }) => name === DEMO_AGENT)!

function attempt(actual: (show: Show) => string, show: Show): string {
  try {
    return actual(show)
  } catch (error) {
    return (error as Error).message
  }
}
