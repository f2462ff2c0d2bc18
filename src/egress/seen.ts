/** Records where agents connect: the first time at once, repetitions once a minute. */

import { showAuthority } from '../config/authority.ts'
import { type Clock, every } from '../core/clock.ts'
import type { EventData, NewEvent } from '../core/events.ts'
import type { AgentId } from '../core/ids.ts'
import type { StateManager } from '../state/state-manager.ts'

const INTERVAL_MS = 60_000
/** Places of all agents within one interval; further ones are recorded as one place. */
const MAX_PLACES = 2_000
const MANY = { host: 'many other hosts', port: 0 }

type Allowed = Omit<EventData['egress.allowed'], 'count'>
type Denied = Omit<EventData['egress.denied'], 'count'>

interface Place {
  agentId: AgentId
  name: string
  what: { allowed: Allowed } | { denied: Denied }
  /** Since the last event. */
  count: number
}

/** The agent that connects. */
export interface Who {
  agentId: AgentId
  name: string
}

export class Seen {
  readonly #state: StateManager
  readonly #stop: () => void
  readonly #places = new Map<string, Place>()

  constructor(state: StateManager, clock: Clock) {
    this.#state = state
    this.#stop = every(clock, INTERVAL_MS, () => this.#flush())
  }

  allowed(who: Who, allowed: Allowed): void {
    this.#add(who, `allowed ${allowed.kind} ${allowed.host} ${allowed.port}`, { allowed })
  }

  denied(who: Who, denied: Denied): void {
    this.#add(who, `${denied.reason} ${denied.host} ${denied.port}`, { denied })
  }

  close(): void {
    this.#stop()
    this.#flush()
  }

  #add({ agentId, name }: Who, what: string, place: Place['what']): void {
    const key = `${agentId} ${what}`
    const known = this.#places.get(key)
    if (known) {
      known.count += 1
      return
    }
    if (this.#places.size >= MAX_PLACES) return this.#addBeyond({ agentId, name }, place)
    this.#places.set(key, { agentId, name, what: place, count: 0 })
    this.#record({ agentId, name, what: place, count: 1 })
  }

  #addBeyond(who: Who, place: Place['what']): void {
    const key = `${who.agentId} ${'denied' in place ? 'denied' : 'allowed'} beyond`
    const beyond =
      'denied' in place ? { denied: { ...place.denied, ...MANY } } : { allowed: { ...place.allowed, ...MANY } }
    const known = this.#places.get(key) ?? { ...who, what: beyond, count: 0 }
    known.count += 1
    this.#places.set(key, known)
  }

  #flush(): void {
    for (const place of this.#places.values()) if (place.count > 0) this.#record(place)
    this.#places.clear()
  }

  #record({ agentId, name, what, count }: Place): void {
    const event =
      'denied' in what ? deniedEvent(name, { ...what.denied, count }) : allowedEvent(name, { ...what.allowed, count })
    this.#state.record({ ...event, agent_id: agentId })
  }
}

const REASONS: Readonly<Record<string, string>> = {
  egress_denied: 'not listed in agent.egress.allow',
  egress_address_refused: 'a private address, which agent.egress.private must list with its port',
  egress_host_mismatch: 'another host was named inside the connection',
  egress_protocol: 'the client offers HTTP/2 alone',
}

const times = (count: number): string => (count > 1 ? ` (${count} times)` : '')

function allowedEvent(name: string, data: EventData['egress.allowed']): NewEvent {
  const { kind, count, is_listed } = data
  const how = kind === 'tunnel' ? (is_listed ? '' : ', which is not listed') : ` (${kind} ${data.name})`
  const message = `${name} connected to ${showAuthority(data)}${how}${times(count)}`
  return { type: 'egress.allowed', level: is_listed ? 'DEBUG' : 'INFO', message, data }
}

function deniedEvent(name: string, data: EventData['egress.denied']): NewEvent {
  const message = `${name} was refused ${showAuthority(data)}: ${REASONS[data.reason] ?? data.reason}${times(data.count)}`
  return { type: 'egress.denied', level: 'WARN', message, data }
}
