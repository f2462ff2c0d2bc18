/**
 * The current view. Every view has an address that can be shared, and the browser's back button works:
 * `#/` all agents, `#/agents/<id>` one, `?level=&q=&event=` what its event log shows; `#/api` the page about the API.
 */
import { computed, signal } from '@preact/signals'

export interface Address {
  /** null: all agents. */
  agentId: string | null
  isApi: boolean
  query: URLSearchParams
}

const hash = signal(location.hash)
addEventListener('hashchange', () => {
  hash.value = location.hash
})

/** undefined until a view is chosen. */
export const address = computed<Address | undefined>(() => {
  const match = /^#\/(?:agents\/([^/?]+)|(api))?(?:\?(.*))?$/.exec(hash.value)
  if (!match) return undefined
  return { agentId: match[1] ?? null, isApi: match[2] !== undefined, query: new URLSearchParams(match[3]) }
})

export const agentAddress = (id: string): string => `#/agents/${id}`

/** The page of an agent's report. */
export const reportAddress = (id: string): string => `/reports/${encodeURIComponent(id)}`

/** Replaces the current address without adding to the browser's history. */
export function settleOn(next: string): void {
  history.replaceState(null, '', next)
  hash.value = location.hash
}

/** Sets a parameter of the view in the address; an empty value removes it. */
export function setQuery(name: 'level' | 'q' | 'event', value: string): void {
  const query = new URLSearchParams(address.value?.query)
  if (value) query.set(name, value)
  else query.delete(name)
  const path = (hash.value || '#/').split('?', 1)[0]!
  const text = query.toString()
  settleOn(text ? `${path}?${text}` : path)
}
