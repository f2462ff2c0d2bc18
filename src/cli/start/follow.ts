/** The events of an agent of a running server. */
import { setTimeout as wait } from 'node:timers/promises'
import type { CageError } from '../../core/errors.ts'
import type { RuntimeEvent } from '../../core/events.ts'
import type { ApiClient } from '../client/client.ts'

const PAGE = 500
/** How often new events are polled. */
const POLL_INTERVAL_MS = 250

/** Yields the stored events and, with `follow`, new ones until the agent or its server has ended. */
export async function* eventsOf(client: ApiClient, id: string, follow: boolean): AsyncGenerator<RuntimeEvent> {
  let after = 0
  let hasEnded = false
  for (;;) {
    const events = await nextPage(client, id, after).catch((error: CageError) => {
      if (after > 0 && error.code === 'server_unreachable') return undefined
      throw error
    })
    if (!events) return
    for (const event of events) {
      after = event.seq
      if (event.type === 'agent.exited') hasEnded = event.data.restart_in_ms === null
      if (event.type === 'agent.started') hasEnded = false
      yield event
    }
    if (events.length === PAGE) continue
    if (!follow || hasEnded) return
    await wait(POLL_INTERVAL_MS)
  }
}

async function nextPage(client: ApiClient, id: string, after: number): Promise<RuntimeEvent[]> {
  const query = new URLSearchParams({ agent_id: id, after: String(after), limit: String(PAGE) })
  return (await client.send<{ events: RuntimeEvent[] }>('GET', `/api/events?${query}`)).events
}
