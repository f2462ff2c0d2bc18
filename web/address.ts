/**
 * The current view. Every view has an address that can be shared, and the browser's back button works:
 * `#/` all agents, `#/agents/<id>` one, `?level=&q=&event=` what its event log shows; `#/calls?agent=&model=&call=`… the
 * calls; `#/runs`, `#/incidents`, `#/audit`, `#/settings`, `#/booth`; `#/api` the page about the API. On a Control Panel
 * `#/` the fleet, `#/spending`, `#/incidents`, `#/alerts`, `#/secrets`, `#/audit`, `#/people`.
 */
import { computed, signal } from '@preact/signals'

const PAGES = [
  'calls',
  'runs',
  'incidents',
  'alerts',
  'audit',
  'settings',
  'booth',
  'api',
  'spending',
  'secrets',
  'people',
] as const

export interface Address {
  /** null: all agents. */
  agentId: string | null
  page: (typeof PAGES)[number] | 'agents'
  query: URLSearchParams
}

const PATTERN = new RegExp(`^#/(?:agents/([^/?]+)|(${PAGES.join('|')}))?(?:\\?(.*))?$`)
const hash = signal(location.hash)
addEventListener('hashchange', () => {
  hash.value = location.hash
})

/** undefined until a view is chosen. */
export const address = computed<Address | undefined>(() => {
  const match = PATTERN.exec(hash.value)
  if (!match) return undefined
  return {
    agentId: match[1] ?? null,
    page: (match[2] as Address['page'] | undefined) ?? 'agents',
    query: new URLSearchParams(match[3]),
  }
})

export const agentAddress = (id: string): string => `#/agents/${id}`

/** The calls of an agent, or of all. */
export const callsAddress = (agentId?: string): string => `#/calls${agentId ? `?agent=${agentId}` : ''}`

/** The same list with this call open; with none for an empty id. */
export const callAddress = (id: string): string => withQuery('call', id)

/** One call, on the page of all calls. */
export const callAddressOf = (id: string): string => `#/calls?call=${id}`

/** The page of an agent's report. */
export const reportAddress = (id: string): string => `/reports/${encodeURIComponent(id)}`

/** Replaces the current address without adding to the browser's history. */
export function settleOn(next: string): void {
  history.replaceState(null, '', next)
  hash.value = location.hash
}

/** Sets a parameter of the view in the address; an empty value removes it. */
export function setQuery(name: string, value: string): void {
  settleOn(withQuery(name, value))
}

/** The current view with a parameter changed; an empty value removes it. */
function withQuery(name: string, value: string): string {
  const query = new URLSearchParams(address.value?.query)
  if (value) query.set(name, value)
  else query.delete(name)
  // Values that belong in no address, such as the code of a link, are not written into one.
  const path = address.value ? hash.value.split('?', 1)[0]! : '#/'
  const text = query.toString()
  return text ? `${path}?${text}` : path
}
