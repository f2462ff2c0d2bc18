import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import type { NewEvent, RuntimeEvent } from '../../src/core/events.ts'
import { toAgentId } from '../../src/core/ids.ts'
import { usd } from '../../src/core/money.ts'
import { openStore } from '../../src/db/store.ts'
import { applyEvent } from '../../src/state/apply-event.ts'
import { emptySnapshot } from '../../src/state/snapshot.ts'
import { StateManager } from '../../src/state/state-manager.ts'
import { TestClock } from '../support/clock.ts'
import { agentStarted } from '../support/events.ts'
import { temporaryFile } from '../support/temporary-file.ts'

const AGENT = toAgentId('lg-7a3f9c2d')

function openState({ path = ':memory:', retentionDays = 7, eventsKept = 1_000_000 } = {}) {
  const clock = new TestClock()
  const store = openStore({ path })
  const faults: string[] = []
  const open = () =>
    new StateManager({
      store,
      clock,
      retentionDays,
      eventsKept,
      onFault: (_error, what) => faults.push(what),
    })
  const rows = () =>
    store.orm.$client.prepare('SELECT seq, type FROM events ORDER BY seq').all() as { seq: number; type: string }[]
  return { clock, store, faults, state: open(), open, rows }
}

const started: NewEvent = {
  type: 'agent.started',
  level: 'OK',
  agent_id: AGENT,
  message: 'started',
  data: { ...agentStarted, limit_usd: usd('50'), detect: ['email'] },
}
const printed = (text: string): NewEvent => ({
  type: 'agent.output',
  level: 'INFO',
  agent_id: AGENT,
  message: text,
  data: { stream: 'stdout', text },
})
const progressed = (done: number): NewEvent => ({
  type: 'progress.updated',
  level: 'DEBUG',
  agent_id: AGENT,
  message: `${done} leads`,
  data: { done, total: 100, unit: 'leads', label: null },
})

describe('recording an event', () => {
  test('recording an event writes its row before memory changes, and notifies listeners after both', () => {
    const { state, rows } = openState()
    const seen: unknown[] = []
    state.subscribe(({ seq }) => seen.push({ seq, rows: rows().length, memory: state.read().seq }))
    state.record(started, () => seen.push({ alongside: state.read().seq }))
    expect(seen).toEqual([{ alongside: 0 }, { seq: 1, rows: 1, memory: 1 }])
  })

  test('recording an event keeps the order of seq for every listener, also when listeners record', () => {
    const { state, rows } = openState()
    const first: string[] = []
    const last: string[] = []
    state.subscribe((event) => first.push(`${event.seq} ${event.message}`))
    state.subscribe((event) => {
      if (event.type === 'progress.updated') {
        state.record(printed(`after ${event.message}`))
        state.record(printed(`and after ${event.message}`))
      }
    })
    state.subscribe((event) => last.push(`${event.seq} ${event.message}`))
    state.record(started)
    state.record(progressed(1))
    state.record(progressed(2))
    expect(first).toEqual([
      '1 started',
      '2 1 leads',
      '3 after 1 leads',
      '4 and after 1 leads',
      '5 2 leads',
      '6 after 2 leads',
      '7 and after 2 leads',
    ])
    expect(last).toEqual(first)
    expect(rows().map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7])
  })

  test('recording an event never changes a snapshot that a reader holds', () => {
    const { state } = openState()
    state.record(started)
    const held = state.read()
    const text = JSON.stringify(held)
    state.record(progressed(1))
    expect(JSON.stringify(held)).toBe(text)
    expect(state.read()).not.toBe(held)
  })

  test('recording an event notifies the other listeners when one throws', () => {
    const { state, faults } = openState()
    const notified: number[] = []
    state.subscribe(() => {
      throw new Error('a listener is broken')
    })
    const leave = state.subscribe(({ seq }) => notified.push(seq))
    state.record(started)
    leave()
    state.record(progressed(1))
    expect(notified).toEqual([1])
    expect(faults).toEqual(['a listener failed at agent.started', 'a listener failed at progress.updated'])
  })

  test('recording an event writes all or nothing: a failed dependent write leaves no trace, and the next event takes its place', () => {
    const { state, rows } = openState()
    expect(() =>
      state.record(started, () => {
        throw new Error('our own mistake')
      }),
    ).toThrow('our own mistake')
    expect(rows()).toEqual([])
    expect(state.read().seq).toBe(0)
    state.record(started)
    expect(rows()).toEqual([{ seq: 1, type: 'agent.started' }])
  })
})

describe('events of one turn of the event loop', () => {
  test('events of one turn share a transaction, in order, and are stored and in memory for the waiting caller', async () => {
    const { state, rows } = openState()
    state.record(started)
    const seen: unknown[] = []
    state.subscribe(({ seq }) => seen.push({ seq, rows: rows().length, memory: state.read().seq }))
    const recorded = [state.recordBatched(progressed(1)), state.recordBatched(progressed(2))]
    expect(seen).toEqual([])
    await Promise.all(recorded)
    expect(rows()).toHaveLength(3)
    expect(state.read().seq).toBe(3)
    expect(seen).toEqual([
      { seq: 2, rows: 3, memory: 2 },
      { seq: 3, rows: 3, memory: 3 },
    ])
  })

  test('events of one turn are stored before their callers continue, and listeners run after that, also for nested events', async () => {
    const { state, rows } = openState()
    state.record(started)
    const seen: unknown[] = []
    const noticed = new Promise<void>((resolve) => {
      state.subscribe(({ seq }) => {
        seen.push(seq)
        if (seq === 2) state.record(printed('of a listener'))
        if (seq === 4) resolve()
      })
    })
    await state.recordBatched(progressed(1)).then(() => seen.push(`${rows().length} rows`))
    expect(seen).toEqual(['2 rows'])
    state.record(printed('meanwhile'))
    await noticed
    expect(seen).toEqual(['2 rows', 2, 3, 4])
    expect(rows().map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
  })

  test('events whose transaction failed are shown later, and readers see the old state meanwhile', async () => {
    const { state, store, faults } = openState()
    const { get } = store.pastAgents
    store.pastAgents.get = () => {
      throw new Error('the disk cannot be read')
    }
    await state.recordBatched(progressed(1))
    expect(state.read().seq).toBe(0)
    expect(faults).toEqual(['an event is stored but not shown; trying again with the next one'])
    store.pastAgents.get = get
    expect(state.read().seq).toBe(1)
  })

  test('event numbers continue after events that were never shown', async () => {
    const { state, rows, store } = openState()
    store.groupCommit = (write, ended) => {
      store.transaction(write)
      ended()
    }
    await Promise.all([
      state.recordBatched(started),
      state.recordBatched(progressed(1)),
      state.recordBatched(progressed(2)),
    ])
    expect(rows().map(({ seq }) => seq)).toEqual([1, 2, 3])
    expect(state.read().agents[AGENT]?.progress?.done).toBe(2)
  })

  test("events are shown without a reader, and a listener's own events are stored", async () => {
    const { state, rows } = openState()
    const noticed = new Promise<number>((resolve) => {
      state.subscribe(({ seq }) => {
        if (seq === 1) state.record(printed('of a listener'))
        else resolve(seq)
      })
    })
    await state.recordBatched(started)
    expect(await noticed).toBe(2)
    expect(rows()).toHaveLength(2)
  })

  test('events of one turn are written before one that is recorded at once', async () => {
    const { state, rows } = openState()
    state.record(started)
    const recorded = state.recordBatched(progressed(1))
    state.record(printed('at once'))
    expect(rows().map(({ type }) => type)).toEqual(['agent.started', 'progress.updated', 'agent.output'])
    await recorded
    expect(rows()).toHaveLength(3)
  })

  test('events of one turn are not lost by one among them that cannot be written', async () => {
    const { state, rows } = openState()
    state.record(started)
    const recorded = await Promise.allSettled([
      state.recordBatched(progressed(1)),
      state.recordBatched(progressed(2), () => {
        throw new Error('our own mistake')
      }),
      state.recordBatched(progressed(3)),
    ])
    expect(recorded.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(rows().map(({ seq }) => seq)).toEqual([1, 2, 3])
    expect(state.read().agents[AGENT]?.progress?.done).toBe(3)
  })

  test('events of one turn are in memory only with their rows, when another part of the turn keeps all of it from being written', async () => {
    const { state, rows, store } = openState()
    state.record(started)
    const seen: unknown[] = []
    state.subscribe(({ seq }) => seen.push({ seq, rows: rows().length }))
    const recorded = state.recordBatched(progressed(1))
    const full = Object.assign(new Error('the disk is full'), { code: 'SQLITE_FULL' })
    store.groupCommit(
      () => {
        throw full
      },
      (error) => seen.push(error),
    )
    await recorded
    expect(seen).toEqual([{ seq: 2, rows: 2 }, full])
    expect(state.read().seq).toBe(2)
  })

  test('events of one turn are stored when the state is closed before the turn ends', async () => {
    const { state, rows } = openState()
    const recorded = state.recordBatched(started)
    state.close()
    expect(rows()).toHaveLength(1)
    await recorded
  })
})

describe('a database that another program has locked', () => {
  test('a locked database makes events wait in order without blocking, and stores them when it is free', async () => {
    const path = temporaryFile()
    const { state, rows, faults, store, clock } = openState({ path })
    state.record(started)
    const other = new Sqlite(path)
    other.exec('BEGIN IMMEDIATE')
    let written = 0
    for (let done = 1; done <= 20; done++) state.record(progressed(done), () => (written = done))
    expect({ rows: rows().length, seq: state.read().seq, behind: state.isBehind }).toEqual({
      rows: 1,
      seq: 1,
      behind: true,
    })
    expect(faults).toEqual(['cannot write progress.updated; trying again'])
    const caughtUp = new Promise<void>((resolve) => {
      state.subscribe(({ seq }) => seq === 21 && resolve())
    })
    other.exec('ROLLBACK')
    other.close()
    await clock.passing(caughtUp)
    expect({ rows: rows().length, seq: state.read().seq, written }).toEqual({ rows: 21, seq: 21, written: 20 })
    expect(state.isBehind).toBe(false)
    expect(state.read().agents[AGENT]?.progress?.done).toBe(20)
    state.close()
    store.close()
  })
})

test('output of agents waits for the disk up to a bound, and a line counts the lost rest', async () => {
  const path = temporaryFile()
  const { state, rows, store, clock } = openState({ path })
  state.record(started)
  const other = new Sqlite(path)
  other.exec('BEGIN IMMEDIATE')
  for (let line = 1; line <= 1_500; line++) state.record(printed(`line ${line}`))
  state.record(progressed(1))
  const warning = new Promise<string>((resolve) => {
    state.subscribe(({ level, message }) => level === 'WARN' && resolve(message))
  })
  other.exec('ROLLBACK')
  other.close()
  expect(await clock.passing(warning)).toBe(
    '500 lines of agent output were lost: the disk could not be written and the queue was full',
  )
  // Other events than output are never lost.
  expect(rows().filter(({ type }) => type === 'progress.updated')).toHaveLength(1)
  expect(rows()).toHaveLength(1 + 1_000 + 1 + 1)
  state.close()
  store.close()
})

test('the oldest events go when there are too many, however young', () => {
  const { state, clock, rows, open } = openState({ eventsKept: 100 })
  state.record(started)
  for (let done = 1; done <= 4_100; done++) state.record(progressed(done))
  clock.advance(500)
  state.close()
  expect(rows()).toHaveLength(100)
  const again = open()
  expect(again.read()).toMatchObject({ seq: 4_101, agents: { [AGENT]: { progress: { done: 4_100 } } } })
})

describe('a restart', () => {
  const history = (state: StateManager, clock: TestClock, count: number) => {
    state.record(started)
    for (let done = 1; done <= count; done++) {
      clock.advance(700)
      state.record(progressed(done))
    }
  }

  test.each([
    { events: 10, how: 'in order', closes: true },
    { events: 10, how: 'by a kill', closes: false },
    { events: 4_100, how: 'by a kill, long after the last save', closes: false },
    { events: 5_100, how: 'by a kill, with more events than a page', closes: false },
  ])('a restart $how after $events events shows the same snapshot, to the byte', ({ events, closes }) => {
    const { state, open, clock } = openState()
    history(state, clock, events)
    const before = JSON.stringify(state.read())
    if (closes) state.close()
    expect(JSON.stringify(open().read())).toBe(before)
  })

  test('a restart goes on with the next seq', () => {
    const { state, open, rows } = openState()
    state.record(started)
    const again = open()
    again.record(progressed(1))
    expect(rows().map(({ seq }) => seq)).toEqual([1, 2])
    expect(again.read().agents[AGENT]?.progress?.done).toBe(1)
  })

  test('a restart after old events were forgotten shows the same snapshot, and counts on', () => {
    const { state, open, clock, rows } = openState({ retentionDays: 1 })
    history(state, clock, 50)
    clock.advance(3 * 86_400_000)
    state.close()
    expect(rows()).toHaveLength(1)
    const again = open()
    expect(JSON.stringify(again.read())).toBe(JSON.stringify(state.read()))
    again.record(progressed(51))
    expect(rows().map(({ seq }) => seq)).toEqual([51, 52])
  })

  test('a restart deletes old events in batches, so that it delays no one', () => {
    const { state, clock, rows } = openState({ eventsKept: 100 })
    state.recordAll(Array.from({ length: 3_500 }, (_, n) => ({ event: progressed(n) })))
    expect(rows()[0]!.seq).toBe(1_001)
    for (const first of [2_001, 3_001, 3_401, 3_401]) {
      clock.advance(50)
      expect(rows()[0]!.seq).toBe(first)
    }
    expect(rows()).toHaveLength(100)
  })

  test('the state is the fold of the stored events', () => {
    const { state, clock } = openState()
    history(state, clock, 300)
    const stored: RuntimeEvent[] = state.findEvents({ after: 0, limit: 1_000 })
    expect(stored.reduce(applyEvent, emptySnapshot())).toEqual(state.read())
  })
})

describe('stored events', () => {
  test('stored events come in pages: oldest first after a seq, newest first before one, of one agent, level or type', () => {
    const { state } = openState()
    state.record(started)
    for (let done = 1; done <= 9; done++) state.record(progressed(done))
    state.record({ ...printed('hello'), agent_id: toAgentId('lg-other') })
    const seqs = (query: Parameters<typeof state.findEvents>[0]) => state.findEvents(query).map(({ seq }) => seq)
    expect(seqs({ after: 3, limit: 3 })).toEqual([4, 5, 6])
    expect(seqs({ before: 4, limit: 2 })).toEqual([3, 2])
    expect(seqs({ limit: 2 })).toEqual([11, 10])
    expect(seqs({ agentId: toAgentId('lg-other'), limit: 9 })).toEqual([11])
    expect(seqs({ level: ['OK', 'INFO'], limit: 9 })).toEqual([11, 1])
    expect(seqs({ type: 'agent.started', limit: 9 })).toEqual([1])
    expect(seqs({ after: 11, limit: 9 })).toEqual([])
  })
})
