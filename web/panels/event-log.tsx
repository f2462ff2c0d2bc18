/** All events, newest first: filtered by level and text, as far back as the server keeps them. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type { Level, RuntimeEvent } from '../../src/core/events.ts'
import { showName, showNumberOf } from '../../src/core/units.ts'
import { loadOlder } from '../actions.ts'
import { address, setQuery } from '../address.ts'
import { nameOf } from '../names.ts'
import { clockTime, Panel } from '../parts/parts.tsx'
import { VirtualList } from '../parts/virtual-list.tsx'
import './event-log.css'

const MARKS: Record<Level, { tone: string; mark: string }> = {
  DEBUG: { tone: 'off', mark: '·' },
  INFO: { tone: 'info', mark: 'ℹ' },
  OK: { tone: 'ok', mark: '✔' },
  WARN: { tone: 'warn', mark: '▲' },
  ERROR: { tone: 'bad', mark: '✖' },
  CRIT: { tone: 'bad strong', mark: '■' },
}

const LEVELS: Record<string, { word: string; levels: readonly Level[] }> = {
  '': { word: 'all levels', levels: ['INFO', 'OK', 'WARN', 'ERROR', 'CRIT'] },
  warn: { word: 'warnings and worse', levels: ['WARN', 'ERROR', 'CRIT'] },
  debug: { word: 'with debug', levels: ['DEBUG', 'INFO', 'OK', 'WARN', 'ERROR', 'CRIT'] },
}

const RETRY_MS = 1_000

/** In rem, as in styles.css. */
const ROW_REM = 1.85
const DETAIL_REM = { min: 15, max: 30, line: 1.35, frame: 5 }

/** `agentId` null: of all agents. */
export function EventLogPanel({ events, agentId }: { events: readonly RuntimeEvent[]; agentId: string | null }) {
  const query = address.value?.query
  const search = query?.get('q') ?? ''
  const level = LEVELS[query?.get('level') ?? ''] ? (query?.get('level') ?? '') : ''
  const opened = Number(query?.get('event') ?? Number.NaN)
  /** The events on screen when Pause was pressed. */
  const held = useSignal<readonly RuntimeEvent[] | null>(null)
  const isAtEnd = useSignal(false)
  const isLoading = useRef(false)
  /** Older events that could not be loaded are asked for again. */
  const failures = useSignal(0)
  const { matches: rows, appended } = useMatches(
    held.value ?? events,
    agentId,
    LEVELS[level]!.levels,
    search.trim().toLowerCase(),
  )
  const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize)
  // Newest first on screen, oldest first in memory, where rows are appended.
  const at = (index: number) => rows[rows.length - 1 - index]!
  const openIndex = Number.isNaN(opened) ? -1 : rows.length - 1 - rows.findLastIndex(({ seq }) => seq === opened)
  const isOpen = openIndex >= 0 && openIndex < rows.length
  const open = isOpen ? { index: openIndex, height: Math.round(detailRem(at(openIndex)) * rem) } : null

  const goBack = async () => {
    if (isLoading.current || isAtEnd.value || held.value) return
    isLoading.current = true
    try {
      isAtEnd.value = !(await loadOlder())
    } catch {
      setTimeout(() => (failures.value += 1), RETRY_MS)
    } finally {
      isLoading.current = false
    }
  }
  useEffect(() => {
    if (!open) return
    const close = ({ key }: KeyboardEvent) => key === 'Escape' && setQuery('event', '')
    addEventListener('keydown', close)
    return () => removeEventListener('keydown', close)
  }, [open === null])
  const oldest = events[0]?.seq ?? 0
  // A search with few results loads older events until there are enough, or no more.
  useEffect(() => {
    if (rows.length < 40) void goBack()
  }, [rows.length, oldest, search, level, failures.value])
  // The address may name an event that is not loaded yet.
  useEffect(() => {
    if (opened < oldest) void goBack()
  }, [opened, oldest, failures.value])

  return (
    <Panel
      name="log"
      title="Event log"
      aside={
        <>
          <span class="dim count">{showNumberOf(rows.length, 'event')}</span>
          <input
            id="search"
            type="search"
            placeholder="/ search"
            aria-label="Search the event log"
            value={search}
            onInput={({ currentTarget }) => setQuery('q', currentTarget.value)}
          />
          <select
            aria-label="Levels shown"
            value={level}
            onChange={({ currentTarget }) => setQuery('level', currentTarget.value)}
          >
            {Object.entries(LEVELS).map(([name, { word }]) => (
              <option key={name} value={name}>
                {word}
              </option>
            ))}
          </select>
          <button
            type="button"
            class="btn ghost"
            aria-label={held.value ? 'Live event log' : 'Pause the event log'}
            onClick={() => {
              held.value = held.value ? null : events
            }}
          >
            {held.value ? 'Live' : 'Pause'}
          </button>
        </>
      }
    >
      {rows.length === 0 ? (
        <p class="dim empty">{emptyText(search, isAtEnd.value)}</p>
      ) : (
        <VirtualList
          label="Events, newest first"
          count={rows.length}
          added={appended}
          rowHeight={Math.round(ROW_REM * rem)}
          open={open}
          row={(index) => <EventRow event={at(index)} isOpen={open?.index === index} namesAgent={agentId === null} />}
          onEnd={() => void goBack()}
        />
      )}
    </Panel>
  )
}

const emptyText = (search: string, isAtEnd: boolean): string =>
  search ? (isAtEnd ? `No events match “${search}”.` : 'Searching older events …') : 'No events yet.'

function EventRow(props: { event: RuntimeEvent; isOpen: boolean; namesAgent: boolean }) {
  const { event, isOpen } = props
  const agent = props.namesAgent && event.agent_id !== null ? nameOf(event.agent_id) : null
  const { tone, mark } = MARKS[event.level]
  const isPlain = event.level === 'INFO' || event.level === 'DEBUG'
  return (
    <>
      <button
        type="button"
        class={`event ${isPlain ? 'plain' : ''}`}
        aria-expanded={isOpen}
        onClick={() => setQuery('event', isOpen ? '' : String(event.seq))}
      >
        <time dateTime={event.at}>{clockTime(event.at)}</time>
        <span class={`level ${tone}`}>
          <span aria-hidden="true">{mark}</span> {event.level}
        </span>
        <span class="message">
          {agent && <span class="whose">{agent} </span>}
          {/* Many messages begin with the name. */}
          {agent && event.message.startsWith(`${agent} `) ? event.message.slice(agent.length + 1) : event.message}
        </span>
      </button>
      {isOpen && <EventFacts event={event} />}
    </>
  )
}

/** Room for the event's details, so that a traceback is read without scrolling. */
function detailRem({ data }: RuntimeEvent): number {
  const { min, max, line, frame } = DETAIL_REM
  const lines = Object.values(data).reduce((sum, value) => sum + String(value).split('\n').length, 3)
  return Math.min(max, Math.max(min, frame + lines * line))
}

const factsOf = ({ seq, at, type, agent_id, data }: RuntimeEvent) => ({
  event: `${type} · ${seq}`,
  time: at,
  agent: agent_id,
  ...data,
})

/** The whole message, and all data of the event. */
const EventFacts = ({ event }: { event: RuntimeEvent }) => (
  <section
    class="event-facts"
    style={{ height: `${detailRem(event) - 0.5}rem` }}
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
    tabIndex={0}
    aria-label="Details of the event"
  >
    <p>{event.message}</p>
    <dl>
      {Object.entries(factsOf(event)).map(
        ([name, value]) =>
          value !== null && (
            <>
              <dt>{showName(name)}</dt>
              <dd>{typeof value === 'string' ? value : JSON.stringify(value)}</dd>
            </>
          ),
      )}
    </dl>
  </section>
)

const REPEATING: readonly RuntimeEvent['type'][] = ['alert.raised', 'alert.delivered']

interface Matches {
  matches: RuntimeEvent[]
  /** Number of rows added since the list was last rebuilt. */
  appended: number
}

/** The matching events, oldest first; only new ones are tested. */
function useMatches(
  events: readonly RuntimeEvent[],
  agentId: string | null,
  levels: readonly Level[],
  words: string,
): Matches {
  const known = useRef<Matches & { key: string; first: number; last: number }>(undefined)
  // An alert and its delivery repeat the event that caused them: they are shown with debug.
  const isRepeated = ({ type }: RuntimeEvent) => !levels.includes('DEBUG') && REPEATING.includes(type)
  const matches = (event: RuntimeEvent) =>
    levels.includes(event.level) &&
    !isRepeated(event) &&
    (agentId === null || event.agent_id === null || event.agent_id === agentId) &&
    (!words || `${event.type} ${event.message}`.toLowerCase().includes(words))
  const key = `${agentId} ${levels} ${words}`
  const first = events[0]?.seq ?? 0
  const last = events.at(-1)?.seq ?? 0
  const before = known.current
  if (before && before.key === key && before.first === first && before.last <= last) {
    if (before.last < last) {
      const from = events.findLastIndex(({ seq }) => seq <= before.last) + 1
      const came = events.slice(from).filter(matches)
      before.matches.push(...came)
      before.appended += came.length
      before.last = last
    }
    return before
  }
  known.current = { key, first, last, matches: events.filter(matches), appended: 0 }
  return known.current
}
