/** The live connection: a ticket, a WebSocket, and again with backoff when it breaks, from the last `seq` on. */
import { effect, signal } from '@preact/signals'
import type { RuntimeEvent } from '../src/events.ts'
import type { Snapshot } from '../src/state/snapshot.ts'
import { send, session } from './session.ts'
import { isConnected, snapshot, staleMs, takeEvents, takeSnapshot } from './store.ts'

type Frame =
  | { type: 'snapshot'; server_time: string; data: Snapshot }
  | { type: 'events'; server_time: string; events: RuntimeEvent[] }

const FIRST_WAIT_MS = 250
const MAX_WAIT_MS = 4_000
/** A connection on which nothing comes for so long is dead, whatever the network says. */
const DEAD_MS = 10_000
/** Round trip of the last ticket, in ms. */
export const roundTripMs = signal<number | null>(null)

/** Connected whenever there is a session, also one that somebody signs in for later. */
export function stayConnected(): void {
  let isAtIt = false
  effect(() => {
    if (session.value !== 'open' || isAtIt) return
    isAtIt = true
    void connectAgainAndAgain().finally(() => {
      isAtIt = false
    })
  })
}

async function connectAgainAndAgain(): Promise<void> {
  let waitMs = FIRST_WAIT_MS
  while (session.value === 'open') {
    const worked = await connectOnce().catch(() => false)
    waitMs = worked ? FIRST_WAIT_MS : Math.min(MAX_WAIT_MS, waitMs * 2)
    if (session.value === 'open') await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
}

/** Resolves when the connection is gone; true when something was heard on it. */
async function connectOnce(): Promise<boolean> {
  const askedAt = performance.now()
  const { ticket } = await send<{ ticket: string }>('POST', '/api/auth/ws-ticket')
  roundTripMs.value = Math.round(performance.now() - askedAt)
  const after = snapshot.value.seq > 0 ? `&after=${snapshot.value.seq}` : ''
  const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/ws?ticket=${ticket}${after}`)
  let wasHeard = false
  socket.addEventListener('message', ({ data }: MessageEvent<string>) => {
    const frame = JSON.parse(data) as Frame
    wasHeard = true
    isConnected.value = true
    if (frame.type === 'snapshot') takeSnapshot(frame.data, frame.server_time)
    else takeEvents(frame.events, frame.server_time)
  })
  const watch = setInterval(() => {
    if (wasHeard && staleMs.value > DEAD_MS) socket.close()
  }, 1_000)
  await new Promise<void>((resolve) => {
    socket.addEventListener('close', () => resolve())
    socket.addEventListener('error', () => resolve())
  })
  clearInterval(watch)
  isConnected.value = false
  return wasHeard
}
