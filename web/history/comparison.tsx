/** Two runs side by side: their figures, and what each spent by model and service. */
import { showUsd } from '../../src/core/money.ts'
import { showCount, showDuration, showName } from '../../src/core/units.ts'
import type { ShownFigures } from '../../src/state/figures-text.ts'
import type { AgentView } from '../../src/state/snapshot.ts'
import { agentAddress } from '../address.ts'
import { dayAndTime, Fault, Panel } from '../parts/parts.tsx'
import { useLoaded } from '../parts/use-loaded.ts'

interface Compared {
  agent: AgentView
  figures: ShownFigures
}

export function Comparison({ ids: [first, second], onClose }: { ids: [string, string]; onClose: () => void }) {
  const left = useLoaded<Compared>(`/api/agents/${encodeURIComponent(first)}`)
  const right = useLoaded<Compared>(`/api/agents/${encodeURIComponent(second)}`)
  const pair = left.value.value && right.value.value ? ([left.value.value, right.value.value] as const) : null
  return (
    <Panel
      name="comparison"
      title="Two runs side by side"
      aside={
        <button type="button" class="btn ghost" onClick={onClose}>
          Close
        </button>
      }
    >
      <Fault text={left.fault.value ?? right.fault.value} />
      {pair && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
        <section class="scroll" tabIndex={0} aria-label="Comparison">
          <table class="list">
            <thead>
              <tr>
                <td />
                {pair.map(({ agent }) => (
                  <th key={agent.id}>
                    <a href={agentAddress(agent.id)}>{agent.name}</a> <span class="mono">{agent.id}</span>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {comparedRows(pair).map(([label, ...texts]) => (
                <tr key={label} class={texts[0] === texts[1] ? 'same' : ''}>
                  <th scope="row">{label}</th>
                  {texts.map((text, index) => (
                    <td key={index}>{text}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </Panel>
  )
}

type Pair = readonly [Compared, Compared]

function comparedRows(pair: Pair): [label: string, left: string, right: string][] {
  const row = (label: string, text: (one: Compared) => string): [string, string, string] => [
    label,
    text(pair[0]),
    text(pair[1]),
  ]
  const names = (pick: (agent: AgentView) => object) => [
    ...new Set(pair.flatMap(({ agent }) => Object.keys(pick(agent)))),
  ]
  return [
    row('State', ({ agent }) => [showName(agent.state), agent.reason].filter(Boolean).join(': ')),
    row('Started', ({ agent }) => dayAndTime(agent.started_at)),
    row('Took', ({ figures }) => showDuration(figures.uptime_ms)),
    row('Work', ({ figures }) => figures.progress ?? '–'),
    row('Success rate', ({ figures }) => figures.success ?? '–'),
    row('Spent', ({ agent, figures }) => `${showUsd(agent.spent_usd)} (${figures.used})`),
    row('Average', ({ figures }) => figures.average ?? '–'),
    row('Calls', ({ agent: { calls } }) => `${showCount(calls.completed)} answered, ${showCount(calls.failed)} failed`),
    row('P50 · P95', ({ figures }) => [figures.p50 ?? '–', figures.p95 ?? '–'].join(' · ')),
    row('Restarts', ({ agent }) => String(agent.restarts)),
    row('Leaks stopped', ({ figures }) => showCount(figures.leaks_stopped)),
    ...names(({ by_model }) => by_model).map((name) => row(name, ({ agent }) => partText(agent.by_model[name]))),
    ...names(({ by_service }) => by_service).map((name) => row(name, ({ agent }) => partText(agent.by_service[name]))),
  ]
}

const partText = (part: { calls: number; cost_usd: Parameters<typeof showUsd>[0] } | undefined): string =>
  part ? `${showUsd(part.cost_usd)}, ${showCount(part.calls)} calls` : '–'
