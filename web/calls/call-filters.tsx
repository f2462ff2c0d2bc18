/** What narrows the list of calls; every choice is a parameter of the address. */
import { useComputed } from '@preact/signals'
import { setQuery } from '../address.ts'
import { agents, circuits, snapshot } from '../store.ts'
import './call-filters.css'

/** Parameters of the address, and those of `GET /api/calls`. */
const FILTERS = {
  agent: 'agent_id',
  target: 'target',
  model: 'model',
  outcome: 'outcome',
  unit: 'unit',
  min_cost: 'min_cost_usd',
  sort: 'sort',
} as const

const HOUR_MS = 3_600_000
const RANGES: Readonly<Record<string, { word: string; ms: number }>> = {
  hour: { word: 'last hour', ms: HOUR_MS },
  day: { word: 'last 24 hours', ms: 24 * HOUR_MS },
  week: { word: 'last 7 days', ms: 7 * 24 * HOUR_MS },
}

/** The search of an address. Times are rounded, so that the same choice is the same search for a while. */
export function filtersOf(query: URLSearchParams): URLSearchParams {
  const search = new URLSearchParams()
  for (const [name, parameter] of Object.entries(FILTERS)) {
    const value = query.get(name)
    if (value) search.set(parameter, value)
  }
  const range = RANGES[query.get('range') ?? '']
  if (range) search.set('from', new Date(Math.floor(Date.now() / 60_000) * 60_000 - range.ms).toISOString())
  return search
}

const OUTCOMES = ['answered', 'failed', 'running', 'unresolved']

export function CallFilters({ query }: { query: URLSearchParams }) {
  const models = useComputed(() =>
    [...new Set(Object.values(snapshot.value.agents).flatMap(({ by_model }) => Object.keys(by_model)))].sort(),
  )
  return (
    <form class="filters" aria-label="Filter calls" onSubmit={(event) => event.preventDefault()}>
      <Choice query={query} name="agent" every="all agents">
        {agents.value.map(({ id, name }) => [id, `${name} ${id}`])}
      </Choice>
      <Choice query={query} name="target" every="all providers and services">
        {circuits.value.map(({ name }) => [name, name])}
      </Choice>
      <Choice query={query} name="model" every="all models">
        {models.value.map((name) => [name, name])}
      </Choice>
      <Choice query={query} name="outcome" every="all outcomes">
        {OUTCOMES.map((name) => [name, name])}
      </Choice>
      <Choice query={query} name="range" every="any time">
        {Object.entries(RANGES).map(([name, { word }]) => [name, word])}
      </Choice>
      <Text query={query} name="unit" placeholder="unit: lead 67" />
      <Text query={query} name="min_cost" placeholder="min. cost: 0.10" />
      <Choice query={query} name="sort" every="newest first">
        {[
          ['oldest', 'oldest first'],
          ['cost', 'highest cost first'],
        ]}
      </Choice>
    </form>
  )
}

function Choice(props: { query: URLSearchParams; name: string; every: string; children: string[][] }) {
  const { query, name, every, children } = props
  const value = query.get(name) ?? ''
  // A shared address may name what this server does not know any more.
  const isKnown = value === '' || children.some(([known]) => known === value)
  return (
    <select
      aria-label={`Filter by ${name}`}
      value={value}
      onChange={({ currentTarget }) => setQuery(name, currentTarget.value)}
    >
      <option value="">{every}</option>
      {[...children, ...(isKnown ? [] : [[value, value]])].map(([known, word]) => (
        <option key={known} value={known}>
          {word}
        </option>
      ))}
    </select>
  )
}

/** Applied with Enter, or when it is left. */
const Text = ({ query, name, placeholder }: { query: URLSearchParams; name: string; placeholder: string }) => (
  <input
    type="search"
    aria-label={`Filter by ${name.replace('_', ' ')}`}
    placeholder={placeholder}
    value={query.get(name) ?? ''}
    onChange={({ currentTarget }) => setQuery(name, currentTarget.value.trim())}
  />
)
