/** The thread of large bodies: does one piece of work at a time, from its message alone. */
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { asCageError } from '../../core/errors.ts'
import { LARGE_WORK, type LargeWork } from './large-work.ts'
import { pack, unpack } from './thread-message.ts'

/** One piece of work, packed. */
export interface Work {
  name: keyof LargeWork
  args: unknown
}

/** The outcome of a piece of work, packed: `result`, or `error`, a CageError. */
export interface Done {
  result?: unknown
  error?: unknown
}

// Other calls come first. On Linux this applies to the thread, elsewhere to the whole process.
if (process.platform === 'linux') setPriority(10)

parentPort!.on('message', ({ name, args }: Work) => {
  const transfers: ArrayBuffer[] = []
  const done = pack(outcomeOf(name, unpack(args) as never), transfers)
  parentPort!.postMessage(done, transfers)
})

function outcomeOf(name: keyof LargeWork, args: never): Done {
  try {
    return { result: LARGE_WORK[name](args) }
  } catch (error) {
    return { error: asCageError(error) }
  }
}
