/**
 * A calm caller, on a separate thread: the health and a small call, one after the other, with its provider's own
 * answer.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { request } from 'undici'

/** Every wait, in ms. */
export interface Waits {
  health: number[]
  call: number[]
}

/** Where the calls go: the server, or the bare pipe. */
export interface Target {
  healthUrl: string
  callUrl: string
}

const PAUSE_MS = 5

let target: Target | undefined
let waits: Waits = { health: [], call: [] }

// Each message is the next target, and is answered with the waits of the last one.
parentPort!.on('message', (next: Target | undefined) => {
  parentPort!.postMessage(waits)
  target = next
  waits = { health: [], call: [] }
})

const small = {
  method: 'POST' as const,
  headers: { authorization: `Bearer ${workerData.token}`, 'content-type': 'application/json' },
  body: '{"model":"penny","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}',
}

async function ask(list: keyof Waits, options: Partial<typeof small>): Promise<void> {
  for (;;) {
    const own = waits
    if (target) {
      const began = performance.now()
      const url = list === 'health' ? target.healthUrl : target.callUrl
      await request(url, options)
        .then(({ body }) => body.dump())
        .catch(() => undefined)
      own[list].push(performance.now() - began)
    }
    await new Promise((resume) => setTimeout(resume, PAUSE_MS))
  }
}

void ask('health', {})
void ask('call', small)
