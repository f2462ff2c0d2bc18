import { describe, expect, test } from 'vitest'
import {
  admit,
  type BreakerSettings,
  type CallResult,
  type Circuit,
  type CircuitChange,
  close,
  closedCircuit,
  conclude,
  forceOpen,
  type Ticket,
} from '../../src/breaker/breaker.ts'
import fc from '../support/fast-check.ts'

const settings: BreakerSettings = { failures: 3, cooldownMs: 1_000, probeMs: 200 }

/** A circuit with time and tickets in hand, so that a test reads as a story. */
class Bench {
  circuit: Circuit = closedCircuit
  now = 5_000
  changes: CircuitChange[] = []

  enter(): Ticket | undefined {
    const { circuit, changes, ticket } = admit(this.circuit, settings, this.now)
    this.circuit = circuit
    this.changes.push(...changes)
    return ticket
  }

  end(ticket: Ticket | undefined, result: CallResult): void {
    if (ticket === undefined) throw new Error('was not admitted')
    const step = conclude(this.circuit, ticket, result, settings, this.now)
    this.circuit = step.circuit
    this.changes.push(...step.changes)
  }

  trip(retryAfterMs?: number): void {
    for (let i = 0; i < settings.failures; i++) this.end(this.enter(), fail(retryAfterMs))
  }
}

const fail = (retryAfterMs?: number): CallResult => ({ is: 'failed', reason: 'answered 500', retryAfterMs })
const succeed: CallResult = { is: 'succeeded' }
const ignore: CallResult = { is: 'ignored' }

test('consecutive failures open it, and it refuses until the cooldown is over', () => {
  const bench = new Bench()
  bench.trip()
  expect(bench.changes).toEqual([
    { to: 'open', failures: 3, cooldownMs: 1_000, reason: 'answered 500', reopened: false },
  ])
  bench.now += 999
  expect(admit(bench.circuit, settings, bench.now)).toMatchObject({ waitMs: 1 })
  bench.now += 1
  expect(bench.enter()).toBeDefined()
  expect(bench.circuit.state).toBe('half_open')
})

test('a success in between resets the count; an ignored result does not', () => {
  const bench = new Bench()
  for (const result of [fail(), fail(), succeed, fail(), fail(), ignore]) bench.end(bench.enter(), result)
  expect(bench.circuit).toMatchObject({ state: 'closed', failures: 2 })
  bench.end(bench.enter(), fail())
  expect(bench.circuit.state).toBe('open')
})

test('a successful probe closes it, a failed one opens it again for a whole cooldown', () => {
  const bench = new Bench()
  bench.trip()
  bench.now += 1_000
  bench.end(bench.enter(), fail())
  expect(bench.changes.at(-1)).toMatchObject({ to: 'open', failures: 4, reopened: true })
  bench.now += 999
  expect(bench.enter()).toBeUndefined()
  bench.now += 1
  bench.end(bench.enter(), succeed)
  expect(bench.changes.map(({ to }) => to)).toEqual(['open', 'half_open', 'open', 'half_open', 'closed'])
  expect(bench.circuit).toMatchObject({ state: 'closed', failures: 0 })
})

test('while one probes the others are refused, and an ignored probe leaves its place to the next', () => {
  const bench = new Bench()
  bench.trip()
  bench.now += 1_000
  const probe = bench.enter()
  expect(bench.enter()).toBeUndefined()
  bench.end(probe, ignore)
  const next = bench.enter()
  expect(next).toBeDefined()
  bench.end(probe, succeed)
  expect(bench.circuit.state, 'the probe that was ignored has no say any more').toBe('half_open')
  bench.end(next, succeed)
  expect(bench.circuit.state).toBe('closed')
})

test('a probe that hangs counts as failed at its deadline, and its late answer changes nothing', () => {
  const bench = new Bench()
  bench.trip()
  bench.now += 1_000
  const hung = bench.enter()
  bench.now += 200
  expect(bench.enter()).toBeUndefined()
  expect(bench.changes.at(-1)).toMatchObject({ to: 'open', reason: 'the probe gave no answer in time', reopened: true })
  bench.end(hung, succeed)
  expect(bench.circuit.state).toBe('open')
  bench.now += 1_000
  expect(bench.enter(), 'a cooldown after the deadline the next one probes').toBeDefined()
})

test('results of calls begun before a trip neither close it nor prolong it', () => {
  const bench = new Bench()
  const early = [bench.enter(), bench.enter(), bench.enter()]
  bench.trip()
  const opened = bench.circuit
  bench.end(early[0], succeed)
  bench.end(early[1], fail(3_600_000))
  expect(bench.circuit).toEqual(opened)
  bench.now += 1_000
  const probe = bench.enter()
  bench.end(early[2], fail())
  expect(bench.circuit.state).toBe('half_open')
  bench.end(probe, succeed)
  for (const ticket of early) bench.end(ticket, fail())
  expect(bench.circuit).toMatchObject({ state: 'closed', failures: 0 })
})

test('closing it by hand forgets every call that runs', () => {
  const bench = new Bench()
  const early = bench.enter()
  bench.trip()
  bench.circuit = close(bench.circuit).circuit
  bench.end(early, fail())
  expect(bench.circuit).toMatchObject({ state: 'closed', failures: 0 })
})

describe('a breaker with a failure rate', () => {
  const rate: BreakerSettings = { ...settings, rate: { share: 0.5, calls: 4 } }
  /** F fails, s succeeds. */
  const outcomeOf = (story: string): { circuit: Circuit; changes: CircuitChange[] } => {
    let circuit = closedCircuit
    const changes: CircuitChange[] = []
    for (const letter of story) {
      const step = conclude(circuit, circuit.epoch, letter === 'F' ? fail() : succeed, rate, 0)
      circuit = step.circuit
      changes.push(...step.changes)
    }
    return { circuit, changes }
  }

  test.each([
    ['so few calls decide nothing', 'FFF', 'closed'],
    ['the share of the last calls opens it', 'FFFF', 'open'],
    ['also when they are not in a row', 'FsFsF', 'open'],
    ['older calls are forgotten', 'FFssss', 'closed'],
    ['and less than the share leaves it', 'Fsssssss', 'closed'],
    ['a success does not open it', 'FFsss', 'closed'],
  ])('%s (%s)', (_, story, state) => expect(outcomeOf(story).circuit.state).toBe(state))

  test('an opened circuit reports the number of failures and of counted calls', () => {
    expect(outcomeOf('FsFsF').changes).toMatchObject([{ to: 'open', failures: 2, of: 4 }])
  })

  test('a rate keeps no more results than it needs', () => {
    expect(outcomeOf('s'.repeat(100)).circuit).toMatchObject({ recent: [false, false, false, false] })
  })
})

test('a circuit opened by a person ignores results and time, and stays open until it is closed', () => {
  const bench = new Bench()
  const early = bench.enter()
  bench.circuit = forceOpen(bench.circuit, bench.now)
  bench.now += 86_400_000 * 365
  expect(admit(bench.circuit, settings, bench.now)).toMatchObject({ waitMs: 1_000, changes: [] })
  bench.end(early, succeed)
  expect(bench.circuit.state).toBe('open')
  bench.circuit = close(bench.circuit).circuit
  expect(bench.enter()).toBeDefined()
})

describe('a requested wait', () => {
  const rows: [string, number | undefined, number][] = [
    ['longer than the cooldown is obeyed', 1_800_000, 1_800_000],
    ['shorter is not', 10, 1_000],
    ['none leaves the cooldown', undefined, 1_000],
    ['negative leaves the cooldown', -5_000, 1_000],
    ['no number leaves the cooldown', Number.NaN, 1_000],
    ['beyond an hour is an hour', 9_999_999_999_000, 3_600_000],
    ['without end is an hour', Number.POSITIVE_INFINITY, 3_600_000],
  ]
  test.each(rows)('%s', (_name, asked, cooldownMs) => {
    const bench = new Bench()
    bench.trip(asked)
    expect(bench.circuit).toMatchObject({ state: 'open', cooldownMs })
  })
})

describe('four callers in any order', () => {
  const act = fc.oneof(
    { weight: 4, arbitrary: fc.record({ caller: fc.nat(3), does: fc.constantFrom('enter', 'enter', 'lose') }) },
    {
      weight: 4,
      arbitrary: fc.record({ caller: fc.nat(3), does: fc.constantFrom('succeed', 'fail', 'fail', 'ignore') }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ does: fc.constant('wait'), ms: fc.constantFrom(1, 199, 200, 999, 1_000, 5_000) }),
    },
  )
  const results = { succeed, fail: fail(), ignore }

  test('a circuit admits one probe at a time, none before its cooldown, and never stays half-open', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 120 }), (acts) => {
        const bench = new Bench()
        /** Calls that run, by caller; a probe with its deadline. */
        const running = new Map<number, { ticket: Ticket; probeUntil: number | null }>()
        let shutUntil = Number.NEGATIVE_INFINITY
        let reported = 'closed'
        for (const step of acts) {
          const changesBefore = bench.changes.length
          const before = bench.circuit
          if ('ms' in step) bench.now += step.ms
          else if (step.does === 'lose') running.delete(step.caller)
          else if (step.does === 'enter') {
            if (running.has(step.caller)) continue
            const ticket = bench.enter()
            if (ticket !== undefined) {
              expect(bench.now, 'passed before the cooldown').toBeGreaterThanOrEqual(shutUntil)
              const isProbe = bench.circuit.state === 'half_open'
              running.set(step.caller, { ticket, probeUntil: isProbe ? bench.now + settings.probeMs : null })
            }
          } else {
            const call = running.get(step.caller)
            if (!call) continue
            running.delete(step.caller)
            bench.end(call.ticket, results[step.does as keyof typeof results])
            if (call.ticket !== before.epoch) expect(bench.circuit, 'a late result').toEqual(before)
          }
          for (const change of bench.changes.slice(changesBefore)) {
            const lawful = { closed: ['open'], open: ['half_open'], half_open: ['open', 'closed'] }[reported]
            expect(lawful, `${reported} → ${change.to}`).toContain(change.to)
            reported = change.to
            // A hung probe's trip begins at its deadline, which is past: at least a cooldown from there.
            if (bench.circuit.state === 'open') shutUntil = bench.circuit.openedAt + bench.circuit.cooldownMs!
          }
          expect(bench.circuit.state).toBe(reported)
          const probes = [...running.values()].filter(({ probeUntil }) => probeUntil !== null && bench.now < probeUntil)
          expect(probes.length, 'probes at once').toBeLessThanOrEqual(1)
        }
        // Even after lost calls: after a deadline and a cooldown a call gets through, and can close it.
        bench.now += settings.probeMs + settings.cooldownMs
        bench.end(bench.enter(), succeed)
        expect(bench.circuit.state).toBe('closed')
      }),
      { numRuns: 2_000 },
    )
  })
})
