/** The live connection: a ticket, then a WebSocket; reconnects with backoff from the last `seq`. */
import { effect, signal } from '@preact/signals'
import type { RuntimeEvent } from '../src/core/events.ts'
import type { Snapshot } from '../src/state/snapshot.ts'
import { send, session } from './session.ts'
import { isConnected, snapshot, staleMs, takeEvents, takeSnapshot } from './store.ts'

type Frame =
  | { type: 'snapshot'; server_time: string; data: Snapshot }
  | { type: 'events'; server_time: string; events: RuntimeEvent[] }

const FIRST_WAIT_MS = 250
const MAX_WAIT_MS = 4_000
/** A connection without data for this long is considered dead. */
const DEAD_MS = 10_000
/** How often the round trip is measured while connected. */
const MEASURE_INTERVAL_MS = 5_000
/** The last measured round trip to the server, in ms; null before the first, and when it failed. */
export const roundTripMs = signal<number | null>(null)

/** Connects whenever there is a session, including later ones. */
export function stayConnected(): void {
  let isConnecting = false
  effect(() => {
    if (session.value !== 'open' || isConnecting) return
    isConnecting = true
    void keepConnecting().finally(() => {
      isConnecting = false
    })
  })
}

async function keepConnecting(): Promise<void> {
  let waitMs = FIRST_WAIT_MS
  while (session.value === 'open') {
    const worked = await connectOnce().catch(() => false)
    waitMs = worked ? FIRST_WAIT_MS : Math.min(MAX_WAIT_MS, waitMs * 2)
    if (session.value === 'open') await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
}

/** Resolves when the connection is closed; true if it received anything. */
async function connectOnce(): Promise<boolean> {
  const { ticket } = await send<{ ticket: string }>('POST', '/api/auth/ws-ticket')
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
  const measuring = setInterval(measure, MEASURE_INTERVAL_MS)
  void measure()
  await new Promise<void>((resolve) => {
    socket.addEventListener('close', () => resolve())
    socket.addEventListener('error', () => resolve())
  })
  clearInterval(watch)
  clearInterval(measuring)
  roundTripMs.value = null
  isConnected.value = false
  return wasHeard
}

async function measure(): Promise<void> {
  const requestedAt = performance.now()
  const answer = await fetch('/api/version').catch(() => null)
  roundTripMs.value = answer?.ok ? Math.round(performance.now() - requestedAt) : null
}
