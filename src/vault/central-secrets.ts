/**
 * Secrets that a Control Panel gives to the agents of this machine: fetched when an agent starts, and again when they
 * change. They are in memory only.
 *
 * The rules are:
 * - A secret of this machine's own vault with the same name and environment counts instead.
 * - An agent waits for the panel for two seconds at most; then it gets the secrets fetched before, or starts without.
 * - Each secret that an agent gets has an audit row here, and the fetch has one on the panel.
 */
import type { Audit } from '../audit/chain.ts'
import { type Clock, isoTime } from '../core/clock.ts'
import { asCageError } from '../core/errors.ts'
import type { CentralSecret } from '../protocol/control-messages.ts'
import type { StateManager } from '../state/state-manager.ts'
import { type LiveSecret, LiveValues, type SecretValue } from './live-values.ts'
import { mask, type SecretView } from './secret.ts'
import type { Requester } from './secret-audit.ts'

/** Agents of this environment, and those of this name; null for none of a name. */
interface Wanted {
  environment: string
  agent: string | null
}

/** Rejects with CageError. */
export type FetchSecrets = (wanted: Wanted) => Promise<CentralSecret[]>

export interface CentralSecretsOptions {
  state: Pick<StateManager, 'record'>
  audit: Audit
  clock: Clock
  /** Receives all current and former values, whenever they change. */
  onValues: (values: readonly SecretValue[]) => void
}

type Known = CentralSecret & { environment: string; at: string }

/** Whether the panel's secrets are known: it did not answer, or revoked this machine. */
type Loaded = 'loaded' | 'unanswered' | 'revoked'

/** How long the start of an agent may wait, in ms. */
const WAIT_MS = 2_000

export class CentralSecrets {
  readonly #options: CentralSecretsOptions
  readonly #live: LiveValues
  /** By environment, agent and name. */
  readonly #known = new Map<string, Known>()
  /** The secrets that agents have started with. */
  readonly #wanted = new Map<string, Wanted>()
  /** Of those, the panel's answers. */
  readonly #fetched = new Set<string>()
  #fetch: FetchSecrets | undefined
  #refreshing: Promise<void> = Promise.resolve()

  constructor(options: CentralSecretsOptions) {
    this.#options = options
    this.#live = new LiveValues(options.onValues)
  }

  /** From now on there is a panel. `environment`: whose secrets calls without an agent are sent with. */
  connect(fetch: FetchSecrets, environment: string): void {
    this.#fetch = fetch
    const calls = { environment, agent: null }
    this.#wanted.set(keyOf(calls), calls)
  }

  /**
   * Fetches the secrets of an agent of this name. Resolves with `unanswered` when the panel did not answer in time and
   * nothing was fetched before; never rejects.
   */
  async load(environment: string, agent: string | null): Promise<Loaded> {
    if (!this.#fetch) return 'loaded'
    const wanted = { environment, agent }
    this.#wanted.set(keyOf(wanted), wanted)
    const giveUp = new AbortController()
    const timeout = this.#options.clock.sleep(WAIT_MS, giveUp.signal).then(() => 'unanswered' as const)
    try {
      const loaded = await Promise.race([this.#load(wanted), timeout])
      return this.#fetched.has(keyOf(wanted)) ? 'loaded' : loaded
    } finally {
      giveUp.abort()
    }
  }

  /** They have changed on the panel: fetches all that agents have started with. Never rejects. */
  refresh(): Promise<void> {
    this.#refreshing = this.#refreshing.then(async () => {
      for (const wanted of [...this.#wanted.values()]) await this.#load(wanted)
    })
    return this.#refreshing
  }

  /** Each with the environment and agents that it is for. */
  list({ environment }: { environment?: string | undefined } = {}): (SecretView & { agent: string | null })[] {
    return [...this.#known.values()]
      .filter((secret) => environment === undefined || secret.environment === environment)
      .map((secret) => {
        const { name, version, at, value, agent } = secret
        const never = { rotated_at: null, deleted_at: null }
        const times = { created_at: at, updated_at: at, ...never }
        return {
          ...times,
          name,
          version,
          agent,
          environment: secret.environment,
          id: idOf(secret),
          masked: mask(value),
        }
      })
  }

  /** The values for an agent, an audit row each; `isWanted`: by name. */
  reveal(
    { environment, agent }: Wanted,
    { role, actor, agentId }: Requester,
    isWanted: (name: string) => boolean,
  ): Map<string, string> {
    const own = [...this.#known.values()]
      .filter((secret) => secret.environment === environment && [null, agent].includes(secret.agent))
      .filter(({ name }) => isWanted(name))
      // Those of the agent come last, and replace those of all.
      .toSorted((one, other) => Number(one.agent !== null) - Number(other.agent !== null))
    const values = new Map(own.map((secret) => [secret.name, secret]))
    for (const { name, version } of values.values()) {
      const details = { environment, version, agent_id: agentId, origin: 'panel', success: true }
      this.#options.audit.append({ role, actor, action: 'secret.read', target: name, details })
    }
    return new Map([...values].map(([name, { value }]) => [name, value]))
  }

  /** Of every agent of the environment; without waiting, for calls. */
  valueOf(name: string, environment: string): string | undefined {
    // Most machines have no panel.
    if (this.#known.size === 0) return undefined
    return this.#known.get(idOf({ name, environment, agent: null }))?.value
  }

  /** The secret that formerly had this value. */
  currentOf(formerValue: string): LiveSecret | undefined {
    return this.#live.currentOf(formerValue)
  }

  close(): void {
    this.#fetch = undefined
    this.#known.clear()
    this.#live.clear()
  }

  async #load(wanted: Wanted): Promise<Loaded> {
    try {
      const secrets = await this.#fetch?.(wanted)
      if (secrets && this.#fetch) this.#take(wanted, secrets)
      this.#fetched.add(keyOf(wanted))
      return 'loaded'
    } catch (error) {
      const { code } = asCageError(error)
      // By default nothing is allowed, and what no longer is goes.
      if (code === 'forbidden' || code === 'runtime_revoked') {
        this.#take(wanted, [])
        this.#fetched.delete(keyOf(wanted))
      }
      if (code === 'runtime_revoked') return 'revoked'
      return code === 'forbidden' ? 'loaded' : 'unanswered'
    }
  }

  #take({ environment, agent }: Wanted, secrets: readonly CentralSecret[]): void {
    const at = isoTime(this.#options.clock.now())
    const present = new Set<string>()
    for (const secret of secrets) {
      const known = { ...secret, environment, at }
      const id = idOf(known)
      present.add(id)
      const before = this.#known.get(id)
      if (before?.value === secret.value) continue
      this.#known.set(id, known)
      this.#live.remember({ id, name: id, environment, version: secret.version }, secret.value)
      if (before) this.#recordReceived(known)
    }
    for (const [id, known] of this.#known) {
      if (known.environment !== environment || ![null, agent].includes(known.agent) || present.has(id)) continue
      this.#known.delete(id)
      this.#live.forget(id)
    }
  }

  #recordReceived({ name, environment, version }: Known): void {
    const message = `${name} of ${environment} has a new value from the Control Panel`
    this.#options.state.record({
      type: 'secret.received',
      level: 'INFO',
      message,
      data: { name, environment, version },
    })
  }
}

const keyOf = ({ environment, agent }: Wanted): string => `${environment}\0${agent ?? ''}`
const idOf = ({ name, environment, agent }: Pick<Known, 'name' | 'environment' | 'agent'>): string =>
  `panel:${environment}:${agent ?? '*'}:${name}`
