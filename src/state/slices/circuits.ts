import type { RuntimeEvent } from '../../core/events.ts'
import { addUsd, ZERO_USD } from '../../core/money.ts'
import { own } from '../own.ts'
import { type CircuitView, MAX_CIRCUITS, type Snapshot } from '../snapshot.ts'

export function applyToCircuits(circuits: Snapshot['circuits'], event: RuntimeEvent): Snapshot['circuits'] {
  const change = (name: string, update: (circuit: CircuitView) => Partial<CircuitView>) => {
    const known = own(circuits, name)
    const circuit = known ?? newCircuit(name)
    return { ...(known ? circuits : withRoom(circuits)), [name]: { ...circuit, ...update(circuit) } }
  }
  switch (event.type) {
    case 'circuit.opened':
      return change(event.data.circuit, ({ trips, last_trip_at, state }) => {
        const forced = event.data.by !== undefined
        // A failed probe prolongs a trip; it is not a new one.
        const isTrip = !forced && state !== 'half_open'
        return {
          state: 'open',
          opened_at: event.at,
          cooldown_ms: event.data.cooldown_ms,
          reason: event.data.reason,
          forced,
          trips: isTrip ? trips + 1 : trips,
          last_trip_at: isTrip ? event.at : last_trip_at,
        }
      })
    case 'circuit.half_opened':
      return change(event.data.circuit, () => ({ state: 'half_open' }))
    case 'circuit.closed':
      return change(event.data.circuit, () => ({
        state: 'closed',
        opened_at: null,
        cooldown_ms: 0,
        reason: null,
        forced: false,
      }))
    case 'call.completed':
      return own(circuits, event.data.provider) ? circuits : change(event.data.provider, () => ({}))
    case 'call.failed':
      return event.data.circuit === undefined
        ? circuits
        : change(event.data.circuit, ({ blocked, unanswered }) => ({
            blocked: blocked + 1,
            unanswered: unanswered + (event.data.falls_back ? 0 : 1),
          }))
    case 'service.called':
      return change(event.data.service, ({ blocked, saved_usd, unanswered }) => ({
        blocked: blocked + (event.data.blocked ? 1 : 0),
        saved_usd: event.data.blocked ? addUsd(saved_usd, event.data.saved_usd) : saved_usd,
        unanswered: unanswered + (event.data.tier === null && event.data.status !== CLIENT_GONE ? 1 : 0),
      }))
    case 'fallback.used':
      return change(event.data.service, ({ fallbacks }) => ({ fallbacks: fallbacks + 1 }))
    default:
      return circuits
  }
}

/** Names come from agents. Evicts a circuit that never tripped, else a closed one. */
function withRoom(circuits: Snapshot['circuits']): Snapshot['circuits'] {
  const all = Object.values(circuits)
  if (all.length < MAX_CIRCUITS) return circuits
  const closed = all.filter(({ state }) => state === 'closed')
  const { [(closed.find(({ trips }) => trips === 0) ?? closed[0] ?? all[0]!).name]: _dropped, ...kept } = circuits
  return kept
}

/** The status recorded for a call whose client disconnected. */
const CLIENT_GONE = 499

const newCircuit = (name: string): CircuitView => ({
  name,
  state: 'closed',
  opened_at: null,
  cooldown_ms: 0,
  forced: false,
  trips: 0,
  last_trip_at: null,
  blocked: 0,
  saved_usd: ZERO_USD,
  fallbacks: 0,
  unanswered: 0,
  reason: null,
})
