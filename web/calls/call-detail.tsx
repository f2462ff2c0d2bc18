/** One call: its kind, its cost with the reason, and its events. */

import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { RuntimeEvent } from '../../src/core/events.ts'
import { showUsd } from '../../src/core/money.ts'
import { showLatency } from '../../src/core/units.ts'
import { type CallDetail, type ShownCall, tokensText, tookMs } from '../../src/state/call-view.ts'
import { agentAddress } from '../address.ts'
import { nameOf } from '../names.ts'
import { clockTime, Fault, faultText, Panel, Row } from '../parts/parts.tsx'
import { isAdmin, send } from '../session.ts'
import { CallContentSection } from './call-content.tsx'
import { OutcomeTag } from './call-facts.tsx'
import './call-detail.css'

export function CallDetailPanel({ id, onClose }: { id: string; onClose: () => void }) {
  const detail = useSignal<CallDetail | null>(null)
  const fault = useSignal<string | null>(null)
  useEffect(() => {
    send<CallDetail>('GET', `/api/calls/${encodeURIComponent(id)}`).then(
      (answer) => {
        detail.value = answer
      },
      (error: unknown) => {
        fault.value = faultText(error)
      },
    )
  }, [id])
  useEffect(() => {
    const close = ({ key }: KeyboardEvent) => key === 'Escape' && onClose()
    addEventListener('keydown', close)
    return () => removeEventListener('keydown', close)
  }, [])
  return (
    <Panel
      name="call"
      title={id}
      aside={
        <button type="button" class="btn ghost" onClick={onClose}>
          Close
        </button>
      }
    >
      <Fault text={fault.value} />
      {detail.value && <Facts {...detail.value} />}
    </Panel>
  )
}

function Facts({ call, corrections, events, has_content }: CallDetail) {
  const took = tookMs(call)
  const { waited_ms, first_byte_ms, redactions, circuit } = traceOf(events)
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
    <section class="rows" tabIndex={0} aria-label="Facts of the call">
      <Row label="Outcome">
        <OutcomeTag call={call} />
      </Row>
      <Row label="Agent">
        <a href={agentAddress(call.agent_id)}>{nameOf(call.agent_id)}</a>
      </Row>
      <Row label="To">
        {call.target}
        {call.model && ` · ${call.model}`}
      </Row>
      {call.unit && <Row label="Unit of work">{call.unit}</Row>}
      <Row label="Cost">
        {showUsd(call.cost_usd)}
        {call.estimated ? ' (estimated)' : ''} of {showUsd(call.held_usd)} held
      </Row>
      {corrections.map((row) => (
        <Row key={row.id} label="Corrected by">
          {showUsd(row.cost_usd)}: {row.reason}
        </Row>
      ))}
      {tokensText(call) && <Row label="Tokens in / out">{tokensText(call)}</Row>}
      {priceText(call) && <Row label="Price per million tokens">{priceText(call)}</Row>}
      {took !== null && <Row label="Took">{showLatency(took)}</Row>}
      {typeof first_byte_ms === 'number' && <Row label="First byte after">{showLatency(first_byte_ms)}</Row>}
      {typeof waited_ms === 'number' && <Row label="Waited for the provider">{showLatency(waited_ms)}</Row>}
      {typeof redactions === 'number' && <Row label="Redactions">{redactions}</Row>}
      {typeof circuit === 'string' && <Row label="Refused by the circuit">{circuit}</Row>}
      {has_content && isAdmin.value && <CallContentSection id={call.id} />}
      {!has_content && (
        <p class="dim">
          What it said is not kept. With <code>calls.keep_content</code> and an open vault, prompt and reply are kept,
          redacted.
        </p>
      )}
      <ol class="moments">
        {events.map((event) => (
          <li key={event.seq}>
            <time dateTime={event.at}>{clockTime(event.at)}</time> {event.message}
          </li>
        ))}
      </ol>
      {events.length === 0 && <p class="dim">Events are kept for a week; this call has none any more.</p>}
    </section>
  )
}

interface Trace {
  waited_ms?: number
  first_byte_ms?: number | null
  redactions?: number
  circuit?: string
}

/** The event that a call ended with. */
const traceOf = (events: readonly RuntimeEvent[]): Trace =>
  (events.find(({ type }) => type === 'call.completed' || type === 'call.failed')?.data ?? {}) as Trace

/** Prices are in picodollars per token. */
function priceText({ price }: ShownCall): string {
  const { input, output, source } = (price ?? {}) as { input?: unknown; output?: unknown; source?: unknown }
  if (typeof input !== 'number' || typeof output !== 'number') return ''
  const perMillion = (rate: number) => `$${(rate / 1e6).toFixed(2)}`
  return `${perMillion(input)} in, ${perMillion(output)} out${typeof source === 'string' ? ` (${source})` : ''}`
}
