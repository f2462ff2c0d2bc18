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

/** The values that the redactor must know. */
export interface SecretValue {
  name: string
  value: string
}

/** Number of former values kept; the oldest are evicted first. */
const MAX_FORMER = 1_000

export class LiveValues {
  readonly #byId = new Map<string, LiveSecret>()
  /** By environment, then by name: each call asks for several. */
  readonly #byName = new Map<string, Map<string, LiveSecret>>()
  /** The secrets of former values, by value. */
  readonly #former = new Map<string, { id: string; name: string }>()
  readonly #onValues: ((values: readonly SecretValue[]) => void) | undefined

  /** `onValues`: receives all current and former values whenever they change. */
  constructor(onValues: ((values: readonly SecretValue[]) => void) | undefined) {
    this.#onValues = onValues
  }

  find(name: string, environment: string): LiveSecret | undefined {
    return this.#byName.get(environment)?.get(name)
  }

  /** The secret that formerly had this value; undefined also for a current value. */
  currentOf(formerValue: string): LiveSecret | undefined {
    const former = this.#former.get(formerValue)
    return former && this.#byId.get(former.id)
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
  retire(value: string, { id, name }: { id: string; name: string }): void {
    if ([...this.#byId.values()].some((live) => live.value === value && live.id !== id)) return
    this.#former.set(value, { id, name })
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
    this.retire(current.value, current)
  }

  #namesOf(environment: string): Map<string, LiveSecret> {
    const known = this.#byName.get(environment) ?? new Map<string, LiveSecret>()
    this.#byName.set(environment, known)
    return known
  }

  #notify(): void {
    const current = [...this.#byId.values()].map(({ name, value }) => ({ name, value }))
    this.#onValues?.([...current, ...[...this.#former].map(([value, { name }]) => ({ name, value }))])
  }
}
