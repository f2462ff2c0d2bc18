/** Calls of all agents: filtered and sorted by the server, page by page; the address holds the filters. */

import { useSignal } from '@preact/signals'
import { useEffect, useMemo, useRef } from 'preact/hooks'
import { showUsd } from '../../src/core/money.ts'
import { showCount, showLatency, showNumberOf } from '../../src/core/units.ts'
import { type FoundCalls, type ShownCall, tokensText, tookMs } from '../../src/state/call-view.ts'
import { address, callAddress, setQuery } from '../address.ts'
import { download } from '../download.ts'
import { nameOf } from '../names.ts'
import { Action, dayAndTime, Empty, Fault, faultText, Panel } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { send } from '../session.ts'
import { CallDetailPanel } from './call-detail.tsx'
import { OutcomeTag } from './call-facts.tsx'
import { CallFilters, filtersOf } from './call-filters.tsx'
import './calls-page.css'

/** Calls loaded at once: more than a screen shows, few enough to be drawn at once. */
const PAGE = 50

export function CallsPage() {
  const query = address.value?.query ?? new URLSearchParams()
  const filters = filtersOf(query).toString()
  const opened = query.get('call')
  const rows = useSignal<readonly ShownCall[] | null>(null)
  const next = useSignal<string | null>(null)
  const fault = useSignal<string | null>(null)
  /** The last search: a slower answer to an earlier one is dropped. */
  const search = useRef('')
  const load = async (after: string | null) => {
    search.current = filters
    fault.value = null
    try {
      const page = await send<FoundCalls>('GET', `/api/calls?${filters}&limit=${PAGE}${after ? `&after=${after}` : ''}`)
      if (search.current !== filters) return
      rows.value = after ? [...(rows.value ?? []), ...page.calls] : page.calls
      next.value = page.next
    } catch (error) {
      if (search.current === filters) fault.value = faultText(error)
    }
  }
  useEffect(() => void load(null), [filters])
  // The rows on screen are not drawn again while others are on their way.
  const found = useMemo(
    () => rows.value?.map((call) => <CallRow key={call.id} call={call} isOpen={call.id === opened} />),
    [rows.value, opened],
  )
  return (
    <main class={`calls-page ${opened ? 'with-detail' : ''}`}>
      <Panel
        name="calls"
        title="Calls"
        aside={
          <>
            {rows.value && <span class="dim">{shownText(rows.value.length, next.value !== null)}</span>}
            <Action label="Refresh" kind="ghost" act={() => load(null)} />
            <Action label="CSV" kind="ghost" act={() => download(`/api/calls?${filters}&format=csv`, 'calls.csv')} />
            <Action label="JSON" kind="ghost" act={() => download(`/api/calls?${filters}&limit=1000`, 'calls.json')} />
          </>
        }
      >
        <CallFilters query={query} />
        <Fault text={fault.value} />
        {rows.value?.length === 0 && (
          <Empty title="No matching calls">
            <p>Calls of agents and clients appear here with what they cost.</p>
          </Empty>
        )}
        {rows.value && rows.value.length > 0 && (
          <Table
            label="Calls found"
            columns={COLUMNS}
            after={next.value && <Action label="Load more" act={() => load(next.value)} />}
          >
            <tbody>{found}</tbody>
          </Table>
        )}
      </Panel>
      {opened && <CallDetailPanel key={opened} id={opened} onClose={() => setQuery('call', '')} />}
    </main>
  )
}

const shownText = (count: number, hasMore: boolean): string =>
  hasMore ? `first ${showCount(count)}` : showNumberOf(count, 'call')

const COLUMNS = {
  Started: '',
  Agent: 'wide',
  To: '',
  Unit: 'wide',
  Outcome: '',
  'Tokens in / out': 'wide figure',
  Took: 'wide figure',
  Cost: 'figure',
} as const

function CallRow({ call, isOpen }: { call: ShownCall; isOpen: boolean }) {
  const took = tookMs(call)
  return (
    <tr class={isOpen ? 'open' : ''}>
      <td>
        <a href={callAddress(isOpen ? '' : call.id)} aria-current={isOpen} title={call.started_at}>
          {dayAndTime(call.started_at)}
        </a>
      </td>
      <td class="wide">{nameOf(call.agent_id)}</td>
      <td class="mono">{call.model ?? call.target}</td>
      <td class="wide">{call.unit ?? ''}</td>
      <td>
        <OutcomeTag call={call} />
      </td>
      <td class="wide figure">{tokensText(call)}</td>
      <td class="wide figure">{took === null ? '' : showLatency(took)}</td>
      <td class="figure">
        {showUsd(call.cost_usd)}
        {call.estimated ? ' ≈' : ''}
      </td>
    </tr>
  )
}
