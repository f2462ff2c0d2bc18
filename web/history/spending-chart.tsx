/** Spending per day, stacked by model; a table serves screen readers. */
import { fromUsd, nanodollars, showUsd, toUsd } from '../../src/core/money.ts'
import { showNumberOf } from '../../src/core/units.ts'
import { ticksUpTo } from '../../src/state/axis.ts'
import type { DaySpending } from '../../src/state/history-view.ts'
import './spending-chart.css'

/** Models with their own color; the others share the last. */
const COLORS = ['color-0', 'color-1', 'color-2', 'color-3', 'color-4']

export function SpendingChart({ days }: { days: readonly DaySpending[] }) {
  const totals = new Map<string, number>()
  for (const { models } of days) {
    for (const { name, cost_usd } of models) totals.set(name, (totals.get(name) ?? 0) + fromUsd(cost_usd))
  }
  const names = [...totals].sort(([, a], [, b]) => b - a).map(([name]) => name)
  const colorOf = (name: string) => Math.min(names.indexOf(name), COLORS.length - 1)
  const top = Math.max(...days.map(sumOf), 1) * 1.08
  const sum = [...totals.values()].reduce((all, one) => all + one, 0)
  if (sum === 0) return <p class="dim empty">Nothing was spent in this time.</p>
  return (
    <figure class="spending-chart">
      <div class="bars" aria-hidden="true">
        {ticksUpTo(top, 4).map((nanos) => (
          <span key={nanos} class="line-at" style={{ bottom: `${(nanos / top) * 100}%` }}>
            {showUsd(toUsd(nanodollars(Math.round(nanos))))}
          </span>
        ))}
        {days.map((day) => (
          <div key={day.day} class="day" title={textOf(day)}>
            {day.models.map(({ name, cost_usd }) => (
              <i key={name} class={COLORS[colorOf(name)]!} style={{ height: `${(fromUsd(cost_usd) / top) * 100}%` }} />
            ))}
          </div>
        ))}
      </div>
      <div class="days-axis" aria-hidden="true">
        <span>{days[0]!.day}</span>
        <span>{days.at(-1)!.day}</span>
      </div>
      <p class="legend">
        {names.slice(0, COLORS.length).map((name, index) => (
          <span key={name}>
            <i class={COLORS[index]!} /> <span class="mono">{index === COLORS.length - 1 ? 'others' : name}</span>{' '}
            {index < COLORS.length - 1 && showUsd(toUsd(nanodollars(totals.get(name)!)))}
          </span>
        ))}
      </p>
      <table class="twin">
        <caption>Spending per day</caption>
        <tbody>
          {days.map((day) => (
            <tr key={day.day}>
              <td>{textOf(day)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  )
}

const sumOf = ({ models }: DaySpending): number => models.reduce((sum, { cost_usd }) => sum + fromUsd(cost_usd), 0)

const textOf = (day: DaySpending): string =>
  [
    `${day.day}: ${showUsd(toUsd(nanodollars(sumOf(day))))}`,
    ...day.models.map(({ name, calls, cost_usd }) => `${name} ${showUsd(cost_usd)} (${showNumberOf(calls, 'call')})`),
  ].join('\n')
