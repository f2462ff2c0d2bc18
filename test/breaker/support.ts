/** Time moved by hand, a real database and state, and a service that is scripted. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { onTestFinished } from 'vitest'
import { openScriptedProvider } from '../../src/booth/scripted-provider.ts'
import type { EventOf, EventType, RuntimeEvent } from '../../src/core/events.ts'
import { openStore, type Store } from '../../src/db/store.ts'
import { StateManager } from '../../src/state/state-manager.ts'
import { TestClock } from '../support/clock.ts'

export interface World {
  clock: TestClock
  store: Store
  state: StateManager
  events: RuntimeEvent[]
  /** The events of one type, in order. */
  of<T extends EventType>(type: T): EventOf<T>[]
}

export function openWorld(store: Store = openStore({ path: ':memory:' })): World {
  const clock = new TestClock()
  const state = new StateManager({
    store,
    clock,
    retentionDays: 7,
    onFault: (error) => {
      throw error
    },
  })
  const events: RuntimeEvent[] = []
  state.subscribe((event) => events.push(event))
  return {
    clock,
    store,
    state,
    events,
    of<T extends EventType>(type: T) {
      state.read()
      return events.filter((event): event is EventOf<T> => event.type === type)
    },
  }
}

export type Behaviour = (request: IncomingMessage, response: ServerResponse, body: string) => void

export interface Seen {
  method: string
  url: string
  headers: IncomingMessage['headers']
  body: string
}

export interface FakeService {
  url: string
  /** Every request that arrived, in order. */
  seen: Seen[]
  /** Sets its behaviour from now on. */
  behave(behaviour: Behaviour): void
  /** Resolves when so many requests have arrived in all. */
  arrived(count: number): Promise<void>
}

export const answers =
  (status: number, body: unknown = { ok: true }, headers: Record<string, string> = {}): Behaviour =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }

export const hangs: Behaviour = () => undefined

export const resets: Behaviour = (request) => void request.socket.destroy()

/** Begins a 200 and breaks the connection in its middle. */
export const breaks: Behaviour = (request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
  response.write('{"half":', () => request.socket.destroy())
}

/** A real server on a free port, closed when the test ends. */
export async function startFakeService(): Promise<FakeService> {
  let behaviour: Behaviour = answers(200)
  const seen: Seen[] = []
  const waiting = new Set<() => void>()
  const { url, close } = await openScriptedProvider((request, body, response) => {
    seen.push({ method: request.method!, url: request.url!, headers: request.headers, body })
    for (const look of waiting) look()
    behaviour(request, response, body)
  })
  onTestFinished(close)
  return {
    url,
    seen,
    behave: (next) => {
      behaviour = next
    },
    arrived: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (seen.length < count) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
  }
}
