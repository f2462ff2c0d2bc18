/**
 * Threads for large bodies, so that reading, redacting and writing them holds up nobody else. A thread is started when
 * there is work and ended soon after: its heap, where all garbage of a large body lies, goes back to the system with it.
 *
 * The rules are:
 * - No agent has more than one of the threads, so a large body of one does not wait for those of another.
 * - A thread knows nothing but what a piece of work brings along: policy, known secrets and the body itself.
 * - Large memory changes hands and is never copied: who gave it away sees nothing in it any more.
 */
import { Worker } from 'node:worker_threads'
import type { Clock, Timer } from '../../clock.ts'
import { CageError } from '../../errors.ts'
import { threadFile } from '../../package-folder.ts'
import { Places } from '../places.ts'
import type { Done } from './large-thread.ts'
import type { LargeWork } from './large-work.ts'
import { pack, unpack } from './thread-message.ts'

const MAX_THREADS = 2
/** Bodies that wait for a thread, of all agents together. */
const MAX_WAITING = 512
/** A thread without work is ended after so long, in ms. */
const IDLE_MS = 1_000
/** Of a thread's heap. The largest body that a provider may send takes about half of it. */
const MAX_HEAP_MB = 2_048

/** For whom the work is done, and until when. */
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
   * Does a piece of work on a thread, when it is this agent's turn. Throws what the work throws, the signal's reason when
   * that fires, CageError `too_many_streams` when too many wait, and `internal` when the thread ends.
   */
  async run<Name extends keyof LargeWork>(
    name: Name,
    args: Parameters<LargeWork[Name]>[0],
    { agentId, signal }: WorkFor,
  ): Promise<ReturnType<LargeWork[Name]>> {
    const giveBack = await this.#places.take(agentId, signal)
    if (!giveBack) throw tooManyWaiting(agentId)
    const thread = this.#idle.pop() ?? this.#start()
    try {
      const done = await passOn(thread, name, args, signal)
      this.#idle.push(thread)
      if (done.error) throw done.error
      return done.result as ReturnType<LargeWork[Name]>
    } finally {
      giveBack()
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
    // Whose work fails with it hears of its end.
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
  new CageError('too_many_streams', `${agentId} has as many large bodies waiting as are left for all others`, {
    facts: { agent_id: agentId, max: MAX_WAITING },
    hint: 'wait until some of the large calls have been read',
    retryAfterS: 1,
  })

/** Work that nobody waits for any more ends with its thread. */
function passOn(thread: Worker, name: keyof LargeWork, args: unknown, signal: AbortSignal): Promise<Done> {
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
