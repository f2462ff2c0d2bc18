/**
 * Threads for large bodies, so that reading, redacting and writing them blocks no other call. A thread starts when
 * there is work and ends soon after: its heap, with all garbage of a large body, is returned to the system with it.
 *
 * The rules are:
 * - No agent uses more than one of the threads, so one agent's large body does not wait for another agent's.
 * - A thread knows only the contents of a piece of work: policy, known secrets and the body itself.
 * - Large memory is transferred, never copied: the sender's view of it becomes empty.
 */
import { Worker } from 'node:worker_threads'
import type { Clock, Timer } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { threadFile } from '../../core/package-folder.ts'
import { Places } from '../provider/places.ts'
import type { Done } from './large-thread.ts'
import type { LargeWork } from './large-work.ts'
import { pack, unpack } from './thread-message.ts'

const MAX_THREADS = 2
/** Bodies that wait for a thread, across all agents. */
const MAX_WAITING = 512
/** A thread without work is ended after this time, in ms. */
const IDLE_MS = 1_000
/** Heap limit of a thread. The largest body that a provider may send takes about half of it. */
const MAX_HEAP_MB = 2_048

/** The agent the work is done for, and the signal that ends it. */
export interface WorkFor {
  agentId: string
  signal: AbortSignal
}

export class LargeBodies {
  readonly #places = new Places(MAX_THREADS, MAX_WAITING)
  readonly #idle: Worker[] = []
  readonly #clock: Clock
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Does a piece of work on a thread, when it is this agent's turn. Throws the errors of the work, the signal's reason
   * when it fires, CageError `too_many_streams` when too many are waiting, and `internal` when the thread ends.
   */
  async run<Name extends keyof LargeWork>(
    name: Name,
    args: Parameters<LargeWork[Name]>[0],
    { agentId, signal }: WorkFor,
  ): Promise<ReturnType<LargeWork[Name]>> {
    const release = await this.#places.take(agentId, signal)
    if (!release) throw tooManyWaiting(agentId)
    const thread = this.#idle.pop() ?? this.#start()
    try {
      const done = await dispatch(thread, name, args, signal)
      this.#idle.push(thread)
      if (done.error) throw done.error
      return done.result as ReturnType<LargeWork[Name]>
    } finally {
      release()
      this.#timer?.cancel()
      this.#timer = this.#clock.after(IDLE_MS, () => this.#end()).unref()
    }
  }

  #start(): Worker {
    const thread = new Worker(threadFile(new URL('./large-thread.ts', import.meta.url)), {
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    })
    thread.unref()
    // Reported to the caller whose work fails with it.
    thread.on('error', () => undefined)
    thread.once('exit', () => {
      if (this.#idle.includes(thread)) this.#idle.splice(this.#idle.indexOf(thread), 1)
    })
    return thread
  }

  #end(): void {
    for (const thread of this.#idle.splice(0)) void thread.terminate()
  }
}

const tooManyWaiting = (agentId: string): CageError =>
  new CageError('too_many_streams', `${agentId} has reached its share of waiting large bodies`, {
    facts: { agent_id: agentId, max: MAX_WAITING },
    hint: 'wait until some of the large calls have been read',
    retryAfterS: 1,
  })

/** Ends the thread when the signal fires, since its work is no longer needed. */
function dispatch(thread: Worker, name: keyof LargeWork, args: unknown, signal: AbortSignal): Promise<Done> {
  return new Promise<Done>((resolve, reject) => {
    const settled = (act: () => void) => {
      signal.removeEventListener('abort', leave)
      thread.off('message', done).off('error', ended).off('exit', ended)
      act()
    }
    const done = (packed: unknown) => settled(() => resolve(unpack(packed) as Done))
    const ended = (cause: unknown) =>
      settled(() => reject(new CageError('internal', 'the thread of large bodies ended', { cause })))
    const leave = () => {
      void thread.terminate()
      settled(() => reject(signal.reason))
    }
    if (signal.aborted) return leave()
    signal.addEventListener('abort', leave, { once: true })
    thread.on('message', done).on('error', ended).on('exit', ended)
    const transfers: ArrayBuffer[] = []
    thread.postMessage({ name, args: pack(args, transfers) }, transfers)
  })
}
