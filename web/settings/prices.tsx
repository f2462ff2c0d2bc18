/** The prices that calls are charged with, and where each is from. */
import { useSignal } from '@preact/signals'
import { showExactUsd, type Usd } from '../../src/core/money.ts'
import { showCount } from '../../src/core/units.ts'
import { Fault, Panel } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { useLoaded } from '../parts/use-loaded.ts'

interface ListedPrice {
  provider: string
  model: string
  input_per_mtok: Usd
  output_per_mtok: Usd
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
      <Table
        label="Prices in force"
        columns={{ Model: '', Provider: 'wide', Input: 'figure', Output: 'figure', Source: 'wide' }}
      >
        <tbody>
          {page?.prices.map(({ provider, model, input_per_mtok, output_per_mtok, source }) => (
            <tr key={`${provider}/${model}`}>
              <td class="mono">{model}</td>
              <td class="wide">{provider}</td>
              <td class="figure">{showExactUsd(input_per_mtok)}</td>
              <td class="figure">{showExactUsd(output_per_mtok)}</td>
              <td class="wide dim">{source}</td>
            </tr>
          ))}
        </tbody>
      </Table>
    </Panel>
  )
}
