/** The names of agents, also of those that have left the snapshot. */
import { signal } from '@preact/signals'
import type { HistoryRow } from '../src/state/history-view.ts'
import { send } from './session.ts'
import { snapshot } from './store.ts'

/** How many of the agents that started last are looked through. */
const LOOKED_THROUGH = 500

const past = signal<ReadonlyMap<string, string>>(new Map())
/** Ids that were looked for, whether or not they were found. */
const asked = new Set<string>()
let isLooking = false

/** The name of an agent; its id until it is known, and of an agent that started too long ago. */
export function nameOf(id: string): string {
  const name = snapshot.value.agents[id]?.name ?? past.value.get(id)
  if (name === undefined && !asked.has(id)) {
    asked.add(id)
    if (!isLooking) queueMicrotask(() => void look())
  }
  return name ?? id
}

/** One request for all names that a page misses. */
async function look(): Promise<void> {
  if (isLooking) return
  isLooking = true
  try {
    const { agents } = await send<{ agents: HistoryRow[] }>('GET', `/api/history?limit=${LOOKED_THROUGH}`)
    past.value = new Map(agents.map(({ id, name }) => [id, name]))
  } catch {
    // Ids are shown, until the page is opened again.
  } finally {
    isLooking = false
  }
}
