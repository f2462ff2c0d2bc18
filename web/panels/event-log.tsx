import { useSignal } from '@preact/signals'
import type { Level, RuntimeEvent } from '../../src/events.ts'
import { loadOlder } from '../actions.ts'
import { Action, clockTime, Panel } from '../parts/parts.tsx'

const MARKS: Record<Level, { tone: string; mark: string }> = {
  DEBUG: { tone: 'off', mark: '·' },
  INFO: { tone: 'info', mark: 'ℹ' },
  OK: { tone: 'ok', mark: '✔' },
  WARN: { tone: 'warn', mark: '▲' },
  ERROR: { tone: 'bad', mark: '✖' },
  CRIT: { tone: 'bad strong', mark: '■' },
}

const FILTERS = {
  'all levels': ['INFO', 'OK', 'WARN', 'ERROR', 'CRIT'],
  'warnings and worse': ['WARN', 'ERROR', 'CRIT'],
  'with debug': ['DEBUG', 'INFO', 'OK', 'WARN', 'ERROR', 'CRIT'],
} as const satisfies Record<string, readonly Level[]>

/** Rows in the page at once; the rest is found by search, filter or further back. */
const ROWS = 300

export function EventLogPanel({ events, agentId }: { events: readonly RuntimeEvent[]; agentId: string }) {
  const filter = useSignal<keyof typeof FILTERS>('all levels')
  const search = useSignal('')
  /** What was on screen when somebody pressed pause. */
  const held = useSignal<readonly RuntimeEvent[] | null>(null)
  const opened = useSignal<number | null>(null)
  const isAtEnd = useSignal(false)
  const wanted = search.value.trim().toLowerCase()
  const levels: readonly Level[] = FILTERS[filter.value]
  const rows = (held.value ?? events)
    .filter(({ level, agent_id }) => levels.includes(level) && (agent_id === null || agent_id === agentId))
    .filter(({ message, type }) => !wanted || `${type} ${message}`.toLowerCase().includes(wanted))
    .slice(-ROWS)
    .reverse()
  return (
    <Panel
      name="log"
      title="Event log"
      aside={
        <>
          <input
            id="search"
            type="search"
            placeholder="/ search"
            aria-label="Search the event log"
            value={search.value}
            onInput={({ currentTarget }) => {
              search.value = currentTarget.value
            }}
          />
          <select
            aria-label="Levels shown"
            value={filter.value}
            onChange={({ currentTarget }) => {
              filter.value = currentTarget.value as keyof typeof FILTERS
            }}
          >
            {Object.keys(FILTERS).map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
          <button
            type="button"
            class="btn ghost"
            aria-pressed={held.value !== null}
            onClick={() => {
              held.value = held.value ? null : events
            }}
          >
            {held.value ? 'Follow' : 'Hold'}
          </button>
        </>
      }
    >
      <ol class="events scroll">
        {rows.map((event) => (
          <li key={event.seq} class={event.level === 'INFO' || event.level === 'DEBUG' ? 'plain' : ''}>
            <button
              type="button"
              aria-expanded={opened.value === event.seq}
              onClick={() => {
                opened.value = opened.value === event.seq ? null : event.seq
              }}
            >
              <time dateTime={event.at}>{clockTime(event.at)}</time>
              <span class={`level ${MARKS[event.level].tone}`}>
                <span aria-hidden="true">{MARKS[event.level].mark}</span> {event.level}
              </span>
              <span class="message">{event.message}</span>
            </button>
            {opened.value === event.seq && (
              <pre>{JSON.stringify({ seq: event.seq, at: event.at, type: event.type, ...event.data }, null, 2)}</pre>
            )}
          </li>
        ))}
        {rows.length === 0 && <li class="dim empty">{wanted ? `Nothing holds “${search.value}”.` : 'Nothing yet.'}</li>}
        <li class="older">
          {isAtEnd.value ? (
            <span class="dim">the beginning</span>
          ) : (
            <Action
              label="Older events"
              kind="ghost"
              act={async () => {
                isAtEnd.value = !(await loadOlder())
              }}
            />
          )}
        </li>
      </ol>
    </Panel>
  )
}
