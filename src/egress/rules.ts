/** Decides whether an agent reaches a host: a provider, a service, a host that its list allows, or none. */

import type { Authority } from '../config/authority.ts'
import { HostList } from '../config/host-list.ts'
import type { Config } from '../config/schema.ts'
import type { Destination, Destinations } from './destinations.ts'
import type { Reach } from './dial.ts'

/** The hosts that an agent reaches besides providers and services. (Default: none.) */
export type EgressSettings = Config['agent']['egress']

export type Decision =
  /** Its requests enter the gateway. */
  | { kind: 'destination'; all: readonly [Destination, ...Destination[]] }
  /** Its bytes pass unread. `isEnforced`: a server name must be the one that was asked for. */
  | { kind: 'tunnel'; isListed: boolean; isEnforced: boolean; reach: Reach }
  | { kind: 'refused' }

export class Rules {
  readonly #destinations: Destinations
  readonly #allow: HostList
  readonly #private: HostList
  readonly #isEnforced: boolean

  constructor(destinations: Destinations, settings: EgressSettings) {
    const { allow = [], private: reachable = [], mode = 'enforce' } = settings ?? {}
    this.#destinations = destinations
    this.#allow = new HostList([...allow, ...reachable])
    this.#private = new HostList(reachable)
    this.#isEnforced = mode === 'enforce'
  }

  decide(to: Authority): Decision {
    const [first, ...others] = this.#destinations.at(to)
    if (first) return { kind: 'destination', all: [first, ...others] }
    const isListed = this.#allow.has(to)
    const isEnforced = this.#isEnforced
    if (!isListed && isEnforced) return { kind: 'refused' }
    return {
      kind: 'tunnel',
      isListed,
      isEnforced,
      reach: !isEnforced ? 'any' : this.#private.has(to) ? 'private' : 'public',
    }
  }
}
