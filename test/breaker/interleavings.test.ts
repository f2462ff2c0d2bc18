/**
 * Every interleaving of four callers, not samples of them: all states that a circuit and its callers can reach are
 * walked through, with time in ticks and everything relative, so that their number is finite. Two failures open it, a
 * cooldown is two ticks, a probe may take two.
 */
import { describe, expect, test } from 'vitest'
import {
  admit,
  type BreakerSettings,
  type CallResult,
  type Circuit,
  close,
  closedCircuit,
  conclude,
  forceOpen,
} from '../../src/breaker/breaker.ts'

/** The state of a caller: nothing, or a call admitted in the present epoch, or in an earlier one. */
type Caller = 'idle' | 'current' | 'late'
interface World {
  circuit: Circuit
  callers: readonly Caller[]
}

const NOW = 1_000
const CALLERS = 4
const RESULTS: readonly CallResult[] = [{ is: 'succeeded' }, { is: 'failed', reason: 'x' }, { is: 'ignored' }]

/** All times seen from NOW, none further away than matters; epochs begin at 0: tickets are current or late. */
function relative({ circuit, callers }: World, epochBefore: number): World {
  const kept = callers.map((caller) => (caller === 'current' && circuit.epoch !== epochBefore ? 'late' : caller))
  return { circuit: { ...circuit, epoch: 0 }, callers: kept.toSorted() }
}

function pass({ circuit, callers }: World): World {
  switch (circuit.state) {
    case 'open':
      return { circuit: { ...circuit, openedAt: Math.max(NOW - 2, circuit.openedAt - 1) }, callers }
    case 'half_open': {
      const until = circuit.probeUntil
      return { circuit: { ...circuit, probeUntil: until === null ? null : Math.max(NOW - 3, until - 1) }, callers }
    }
    default:
      return { circuit, callers }
  }
}

interface Walk {
  world: World
  /** The steps so far, for the reader of a failure. */
  path: readonly string[]
}

function* steps({ world, path }: Walk, settings: BreakerSettings): Generator<Walk> {
  const { circuit, callers } = world
  const go = (next: World, what: string): Walk => ({ world: next, path: [...path, what] })
  const became = (caller: Caller, to: Caller) => {
    const at = callers.indexOf(caller)
    return callers.map((state, index) => (index === at ? to : state))
  }
  yield go(pass(world), 'a tick')
  yield go(relative({ circuit: close(circuit).circuit, callers }, circuit.epoch), 'reset')
  yield go(relative({ circuit: forceOpen(circuit, NOW), callers }, circuit.epoch), 'held open')
  if (callers.includes('idle')) {
    const admission = admit(circuit, settings, NOW)
    const isIn = admission.ticket !== undefined
    if (isIn) expect(admission.ticket, 'a ticket is of the present epoch').toBe(admission.circuit.epoch)
    const next = relative({ circuit: admission.circuit, callers }, circuit.epoch)
    const at = next.callers.indexOf('idle')
    const entered = next.callers.map((state, index): Caller => (isIn && index === at ? 'current' : state))
    yield go({ ...next, callers: entered.toSorted() }, isIn ? 'enters' : 'is refused')
    if (circuit.state === 'open') {
      const isOver = circuit.cooldownMs !== null && NOW - circuit.openedAt >= circuit.cooldownMs
      expect(isIn, `passes an open circuit: ${path.join(', ')}`).toBe(isOver)
    }
    if (circuit.state === 'half_open') {
      const { probeUntil } = circuit
      const isFree = probeUntil === null || NOW - probeUntil >= settings.cooldownMs
      expect(isIn, `a second probe: ${path.join(', ')}`).toBe(isFree)
    }
    if (circuit.state === 'closed') expect(isIn).toBe(true)
  }
  for (const result of RESULTS) {
    if (callers.includes('current')) {
      const step = conclude(circuit, circuit.epoch, result, settings, NOW)
      yield go(relative({ circuit: step.circuit, callers: became('current', 'idle') }, circuit.epoch), result.is)
    }
    if (callers.includes('late')) {
      const step = conclude(circuit, circuit.epoch - 1, result, settings, NOW)
      expect(step, `a late result counts: ${path.join(', ')}`).toEqual({ circuit, changes: [] })
      yield go({ circuit, callers: became('late', 'idle').toSorted() }, `late ${result.is}`)
    }
  }
}

function check({ world: { circuit, callers }, path }: Walk, settings: BreakerSettings): void {
  const story = path.join(', ')
  if (circuit.state === 'half_open') {
    const probes = callers.filter((caller) => caller === 'current').length
    expect(probes, `two probes: ${story}`).toBeLessThanOrEqual(1)
    // Without a probe, the next caller becomes one.
    if (circuit.probeUntil === null) expect(probes, story).toBe(0)
  }
  if (circuit.state === 'open') expect(callers, `a call counts while open: ${story}`).not.toContain('current')
  if (circuit.state === 'closed' && !settings.rate) expect(circuit.failures, story).toBeLessThan(settings.failures)
  // Even after lost calls: time and one good call close a circuit that no person holds open.
  if (circuit.state !== 'open' || circuit.cooldownMs !== null) {
    expect(closesAfter(circuit, settings), `never closes: ${story}`).toBe('closed')
  }
}

function closesAfter(circuit: Circuit, settings: BreakerSettings): Circuit['state'] {
  const { circuit: entered, ticket } = admit(circuit, settings, NOW + 10)
  if (ticket === undefined) return circuit.state
  return conclude(entered, ticket, { is: 'succeeded' }, settings, NOW + 10).circuit.state
}

/** Walks all of it; returns how many worlds there are. */
function walkAll(settings: BreakerSettings): { worlds: number; states: Set<string> } {
  const start: World = { circuit: closedCircuit, callers: Array<Caller>(CALLERS).fill('idle') }
  const seen = new Set<string>()
  const states = new Set<string>()
  const waiting: Walk[] = [{ world: start, path: [] }]
  for (let walk = waiting.pop(); walk; walk = waiting.pop()) {
    const { circuit, callers } = walk.world
    // How often it has failed by now is only shown to people, unless it is closed.
    const shown = circuit.state === 'closed' ? circuit : { ...circuit, failures: 0 }
    const key = JSON.stringify([shown, callers])
    if (seen.has(key)) continue
    seen.add(key)
    states.add(circuit.state)
    check(walk, settings)
    waiting.push(...steps(walk, settings))
  }
  return { worlds: seen.size, states }
}

const consecutive: BreakerSettings = { failures: 2, cooldownMs: 2, probeMs: 2 }

describe('in every order in which four callers, time and a person can act', () => {
  test.each([
    ['consecutive failures', consecutive],
    ['a rate', { ...consecutive, rate: { share: 0.5, calls: 3 } }],
  ])('with %s at most one call probes, late results change nothing, and a circuit closes again', (_, settings) => {
    const { worlds, states } = walkAll(settings)
    expect(states).toEqual(new Set(['closed', 'open', 'half_open']))
    expect(worlds).toBeGreaterThan(50)
  })
})
