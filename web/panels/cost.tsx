import { addUsd, fromUsd, showUsd, type Usd, ZERO_USD } from '../../src/core/money.ts'
import type { Limit } from '../../src/state/figures.ts'
import { limitsText, ofLimit, type ShownFigures } from '../../src/state/figures-text.ts'
import type { AgentView } from '../../src/state/snapshot.ts'
import { BurnChart } from '../parts/burn-chart.tsx'
import { Panel, Tag } from '../parts/parts.tsx'
import { isAlive } from '../store.ts'
import './cost.css'

const STATUS = {
  under_budget: { tone: 'ok', mark: '✔', word: 'Under budget' },
  approaching_limit: { tone: 'warn', mark: '▲', word: 'Approaching limit' },
  projected_above: { tone: 'warn', mark: '▲', word: 'Projected above limit' },
  exhausted: { tone: 'bad', mark: '■', word: 'Budget spent' },
} as const

const SHOWN_PARTS = 5

export function CostPanel(props: { agent: AgentView; figures: ShownFigures; limits: readonly Limit[] }) {
  const { agent, figures } = props
  const limits = limitsText(props.limits)
  const { tone, mark, word } = STATUS[statusOf(agent, figures)]
  return (
    <Panel
      name="cost"
      title="Cost control"
      aside={
        <Tag tone={tone} mark={mark}>
          {word}
        </Tag>
      }
    >
      <div class="headline">
        <div class="big" data-figure="spent">
          {showUsd(figures.spent_usd)} <small>{ofLimit(figures)}</small>
        </div>
        <p class="dim">
          {[figures.used, figures.average].filter(Boolean).join(' · ')}
          <br />
          {figures.projection && isAlive(agent) && (
            <>
              {figures.projection} {figures.projection_usd && <span class={`icon ${tone}`}>{mark}</span>}
            </>
          )}
        </p>
      </div>
      <div
        class={`bar budget ${agent.exhausted ? 'bad' : agent.warned ? 'warn' : ''}`}
        role="progressbar"
        aria-label="Budget used"
        aria-valuenow={Math.round(figures.used_percent)}
        aria-valuemax={100}
      >
        <i style={{ width: `${Math.min(100, figures.used_percent)}%` }} />
        <em />
      </div>
      {limits && (
        <p class="dim limits" data-figure="limits">
          {limits}
        </p>
      )}
      <BurnChart agent={agent} lifeMs={figures.uptime_ms} projectionUsd={figures.projection_usd} />
      <div class="split">
        {costs(agent).map(({ name, usd }) => (
          <div key={name}>
            <i style={{ width: `${share(usd, agent.spent_usd)}%` }} />
            <span class="mono" title={name}>
              {name}
            </span>
            <b>{showUsd(usd)}</b>
          </div>
        ))}
      </div>
      {fromUsd(figures.saved_usd) > 0 && (
        <p class="dim saved">
          {showUsd(figures.saved_usd)} saved against a baseline of {showUsd(figures.baseline_usd)}
        </p>
      )}
    </Panel>
  )
}

/** Spent and projected amounts are distinguished; nothing is projected for an agent that has ended. */
function statusOf({ ended_at, warned }: AgentView, { budget_status }: ShownFigures): keyof typeof STATUS {
  if (budget_status !== 'approaching_limit') return budget_status
  if (ended_at !== null) return 'under_budget'
  return warned ? 'approaching_limit' : 'projected_above'
}

/** Models and services by cost; the smallest are combined. */
function costs({ by_model, by_service }: AgentView): { name: string; usd: Usd }[] {
  const all = [
    ...Object.entries(by_model).map(([name, { cost_usd }]) => ({ name, usd: cost_usd })),
    ...Object.entries(by_service).map(([name, { cost_usd }]) => ({ name, usd: cost_usd })),
  ].sort((a, b) => fromUsd(b.usd) - fromUsd(a.usd))
  if (all.length <= SHOWN_PARTS) return all
  const rest = all.slice(SHOWN_PARTS - 1)
  const usd = rest.reduce((sum, part) => addUsd(sum, part.usd), ZERO_USD)
  return [...all.slice(0, SHOWN_PARTS - 1), { name: `${rest.length} others`, usd }]
}

const share = (part: Usd, whole: Usd): number => Math.max(2, (100 * fromUsd(part)) / Math.max(1, fromUsd(whole)))
