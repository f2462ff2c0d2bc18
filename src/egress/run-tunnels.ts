/** The connections of runs through the proxy: how many each may have, and their end with the run. */
import type { Duplex } from 'node:stream'
import type { TokenRun } from '../access/run-tokens.ts'
import { type Authority, showAuthority } from '../config/authority.ts'
import type { Clock } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import type { RunId } from '../core/ids.ts'
import type { StateManager } from '../state/state-manager.ts'

/** Connections of one run at a time. */
const MAX_TUNNELS = 256
/** Hosts that a run names for the first time within a second. */
const MAX_NEW_HOSTS = 50
const SECOND_MS = 1_000

/** A connection, or one exchange of it. */
type Lasting = Pick<Duplex, 'destroyed'> & { destroy(): unknown; once(event: 'close', listener: () => void): unknown }

interface RunUse {
  sockets: Set<Lasting>
  hosts: Set<string>
  /** Of the current second. */
  newHosts: number
  /** Monotonic ms. */
  since: number
}

/** Counts a connection until it is closed, or until the end of its scope if it was refused. */
interface Place extends Disposable {
  keep(): void
}

export class RunTunnels {
  readonly #clock: Clock
  readonly #byRun = new Map<RunId, RunUse>()
  readonly #unsubscribe: () => void

  constructor({ clock, state }: { clock: Clock; state: Pick<StateManager, 'subscribe'> }) {
    this.#clock = clock
    this.#unsubscribe = state.subscribe((event) => {
      if (event.type === 'agent.exited') this.#end(event.data.run_id)
    })
  }

  /** Throws CageError `too_many_connections`. */
  take({ runId }: TokenRun, to: Authority, socket: Lasting): Place {
    const use = this.#byRun.get(runId) ?? { sockets: new Set(), hosts: new Set(), newHosts: 0, since: 0 }
    this.#byRun.set(runId, use)
    if (use.sockets.size >= MAX_TUNNELS || !this.#isPaced(use, to.host)) {
      throw new CageError('too_many_connections', `${showAuthority(to)}: this run opens too many connections`, {
        facts: { host: to.host, port: to.port },
        hint: `a run has at most ${MAX_TUNNELS} at a time, and ${MAX_NEW_HOSTS} new hosts a second`,
        retryAfterS: 1,
      })
    }
    use.sockets.add(socket)
    const leave = () => void use.sockets.delete(socket)
    let isKept = false
    return {
      keep: () => {
        isKept = true
        if (socket.destroyed) leave()
        else socket.once('close', leave)
      },
      [Symbol.dispose]: () => {
        if (!isKept) leave()
      },
    }
  }

  close(): void {
    this.#unsubscribe()
    for (const runId of [...this.#byRun.keys()]) this.#end(runId)
  }

  #isPaced(use: RunUse, host: string): boolean {
    if (use.hosts.has(host)) return true
    const now = this.#clock.monotonic()
    if (now - use.since >= SECOND_MS) Object.assign(use, { since: now, newHosts: 0 })
    if (use.newHosts >= MAX_NEW_HOSTS) return false
    use.newHosts += 1
    // Bounded: a forgotten host counts as new again.
    if (use.hosts.size >= MAX_TUNNELS * 4) use.hosts.clear()
    use.hosts.add(host)
    return true
  }

  #end(runId: RunId): void {
    for (const socket of this.#byRun.get(runId)?.sockets ?? []) socket.destroy()
    this.#byRun.delete(runId)
  }
}
