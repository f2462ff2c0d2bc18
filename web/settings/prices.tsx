/** The prices that calls are charged with, and where each is from. */
import { useSignal } from '@preact/signals'
import { showCount } from '../../src/units.ts'
import { Fault, Panel } from '../parts/parts.tsx'
import { useLoaded } from '../parts/use-loaded.ts'

interface ListedPrice {
  provider: string
  model: string
  input_per_mtok: string
  output_per_mtok: string
  source: string
}

export function PricesPanel() {
  const text = useSignal('')
  const path = `/api/prices?limit=50&search=${encodeURIComponent(text.value)}`
  const { value, fault } = useLoaded<{ prices: ListedPrice[]; total: number }>(path)
  const page = value.value
  return (
    <Panel
      name="prices"
      title="Prices per million tokens"
      aside={
        <>
          {page && <span class="dim">{showCount(page.total)} models</span>}
          <input
            type="search"
            aria-label="Find a model"
            placeholder="model"
            onChange={({ currentTarget }) => {
              text.value = currentTarget.value.trim()
            }}
          />
        </>
      }
    >
      <Fault text={fault.value} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard. */}
      <section class="scroll" tabIndex={0} aria-label="Prices in force">
        <table class="list">
          <thead>
            <tr>
              <th>Model</th>
              <th>Provider</th>
              <th class="figure">Input</th>
              <th class="figure">Output</th>
              <th class="wide">Source</th>
            </tr>
          </thead>
          <tbody>
            {page?.prices.map(({ provider, model, input_per_mtok, output_per_mtok, source }) => (
              <tr key={`${provider}/${model}`}>
                <td class="mono">{model}</td>
                <td>{provider}</td>
                <td class="figure">${input_per_mtok}</td>
                <td class="figure">${output_per_mtok}</td>
                <td class="wide dim">{source}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </Panel>
  )
}
