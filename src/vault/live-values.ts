/**
 * Values in memory while the vault is open: the road of a call may not wait, and the redactor must know them. Also those
 * that are not used any more, because programs go on with them for a while.
 */
import type { SecretRow } from '../db/secrets.ts'

/** A secret in memory. */
export interface LiveSecret {
  id: string
  name: string
  environment: string
  version: number
  value: string
}

/** As many former values are known; the oldest are forgotten first. */
const MAX_FORMER = 1_000

export class LiveValues {
  readonly #byId = new Map<string, LiveSecret>()
  readonly #byName = new Map<string, LiveSecret>()
  /** Values that are not used any more, and whose they were. */
  readonly #former = new Map<string, string>()
  readonly #onValues: ((values: readonly string[]) => void) | undefined

  /** `onValues`: receives all values that are or were secret, whenever these change. */
  constructor(onValues: ((values: readonly string[]) => void) | undefined) {
    this.#onValues = onValues
  }

  find(name: string, environment: string): LiveSecret | undefined {
    return this.#byName.get(nameKey(name, environment))
  }

  /** The living secret that had this value before; undefined also for a value that is in use. */
  currentOf(formerValue: string): LiveSecret | undefined {
    const id = this.#former.get(formerValue)
    return id === undefined ? undefined : this.#byId.get(id)
  }

  /** The value of now; the one before it becomes a former one. */
  remember({ id, name, environment, version }: SecretRow, value: string): void {
    this.#retireCurrent(id)
    const live = { id, name, environment, version, value }
    this.#byId.set(id, live)
    this.#byName.set(nameKey(name, environment), live)
    this.#former.delete(value)
    this.#notify()
  }

  /** A former value, unless another secret uses it. */
  retire(value: string, id: string): void {
    if ([...this.#byId.values()].some((live) => live.value === value && live.id !== id)) return
    this.#former.set(value, id)
    if (this.#former.size > MAX_FORMER) this.#former.delete(this.#former.keys().next().value!)
    this.#notify()
  }

  /** The secret is not used any more. */
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
    this.#byName.delete(nameKey(current.name, current.environment))
    this.retire(current.value, id)
  }

  #notify(): void {
    this.#onValues?.([...[...this.#byId.values()].map(({ value }) => value), ...this.#former.keys()])
  }
}

const nameKey = (name: string, environment: string): string => `${environment}\0${name}`
