/**
 * Values in memory while the vault is open: a call must not wait, and the redactor must know them. Includes replaced
 * values, because programs continue to use them for a while.
 */

/** A secret in memory. */
export interface LiveSecret {
  id: string
  name: string
  environment: string
  version: number
  value: string
}

/** Number of former values kept; the oldest are evicted first. */
const MAX_FORMER = 1_000

export class LiveValues {
  readonly #byId = new Map<string, LiveSecret>()
  /** By environment, then by name: each call asks for several. */
  readonly #byName = new Map<string, Map<string, LiveSecret>>()
  /** Former values, by value: the id of their secret. */
  readonly #former = new Map<string, string>()
  readonly #onValues: ((values: readonly string[]) => void) | undefined

  /** `onValues`: receives all current and former values whenever they change. */
  constructor(onValues: ((values: readonly string[]) => void) | undefined) {
    this.#onValues = onValues
  }

  find(name: string, environment: string): LiveSecret | undefined {
    return this.#byName.get(environment)?.get(name)
  }

  /** The secret that formerly had this value; undefined also for a current value. */
  currentOf(formerValue: string): LiveSecret | undefined {
    const id = this.#former.get(formerValue)
    return id === undefined ? undefined : this.#byId.get(id)
  }

  /** Sets the current value; the previous one becomes a former value. */
  remember({ id, name, environment, version }: Omit<LiveSecret, 'value'>, value: string): void {
    this.#retireCurrent(id)
    const live = { id, name, environment, version, value }
    this.#byId.set(id, live)
    this.#namesOf(environment).set(name, live)
    this.#former.delete(value)
    this.#notify()
  }

  /** Adds a former value, unless another secret uses it. */
  retire(value: string, id: string): void {
    if ([...this.#byId.values()].some((live) => live.value === value && live.id !== id)) return
    this.#former.set(value, id)
    if (this.#former.size > MAX_FORMER) this.#former.delete(this.#former.keys().next().value!)
    this.#notify()
  }

  /** Removes a secret; its value becomes a former one. */
  forget(id: string): void {
    this.#retireCurrent(id)
    this.#byId.delete(id)
    this.#notify()
  }

  clear(): void {
    this.#byId.clear()
    this.#byName.clear()
    this.#former.clear()
  }

  #retireCurrent(id: string): void {
    const current = this.#byId.get(id)
    if (!current) return
    this.#namesOf(current.environment).delete(current.name)
    this.retire(current.value, id)
  }

  #namesOf(environment: string): Map<string, LiveSecret> {
    const known = this.#byName.get(environment) ?? new Map<string, LiveSecret>()
    this.#byName.set(environment, known)
    return known
  }

  #notify(): void {
    this.#onValues?.([...[...this.#byId.values()].map(({ value }) => value), ...this.#former.keys()])
  }
}
