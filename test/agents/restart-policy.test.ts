import { describe, expect, it } from 'vitest'
import { exitCodeOf } from '../../src/agents/exit-code.ts'
import { type Exit, type Life, type RestartSettings, restartPolicy } from '../../src/agents/restart-policy.ts'

const settings: RestartSettings = { enabled: true, max: 5, windowMs: 60_000 }
const life = (part: Partial<Life>): Life => ({
  exitCode: 1,
  signal: null,
  startedAt: 0,
  endedAt: 100,
  stoppedBy: null,
  ...part,
})

describe('a program that Python cannot load', () => {
  const lastWords = "ModuleNotFoundError: No module named 'openai'"

  it('is not started again, and its reason is told', () => {
    expect(restartPolicy(life({ lastWords }), [], settings)).toEqual({
      next: 'end',
      state: 'failed',
      reason: `exit code 1: ${lastWords}`,
    })
  })

  it.each([{ lastWords: 'ValueError: ImportError' }, { lastWords, exitCode: 42 }, { lastWords, endedAt: 10_000 }])(
    'is something else than one that ends by %o',
    (part) => {
      expect(restartPolicy(life(part), [], settings).next).toBe('restart')
    },
  )
})

/** Crashes a program again and again, each time after `livesMs`, and tells the waits and the end. */
function crashEvery(livesMs: number, times: number, use = settings) {
  const waits: number[] = []
  let crashes: readonly number[] = []
  let now = 0
  for (let run = 0; run < times; run += 1) {
    const decision = restartPolicy(life({ startedAt: now, endedAt: now + livesMs }), crashes, use)
    now += livesMs
    if (decision.next === 'end') return { waits, state: decision.state }
    crashes = decision.crashes
    waits.push(decision.afterMs)
    now += decision.afterMs
  }
  return { waits, state: undefined }
}

describe('restartPolicy', () => {
  it.each([
    { stoppedBy: 'operator', state: 'stopped' },
    { stoppedBy: 'shutdown', state: 'stopped' },
    { stoppedBy: 'budget', state: 'budget_stopped' },
    { stoppedBy: 'pii', state: 'blocked' },
  ] as const)('stopped by $stoppedBy is $state and stays so, whatever the exit code', ({ stoppedBy, state }) => {
    for (const exitCode of [0, 1, 143]) {
      expect(restartPolicy(life({ stoppedBy, exitCode }), [], settings)).toMatchObject({ next: 'end', state })
    }
  })

  it('exit code 0 is completed', () => {
    expect(restartPolicy(life({ exitCode: 0 }), [], settings)).toMatchObject({ next: 'end', state: 'completed' })
  })

  it.each<Exit>([
    { exitCode: 1, signal: null },
    { exitCode: 255, signal: null },
    { exitCode: null, signal: 'SIGSEGV' },
    { exitCode: null, signal: null, fault: 'spawn EAGAIN' },
  ])('a failure is restarted within five seconds: %o', (exit) => {
    const decision = restartPolicy(life(exit), [], settings)
    expect(decision).toMatchObject({ next: 'restart' })
    expect(decision.next === 'restart' && decision.afterMs).toBeLessThan(1_000)
  })

  it('five quick crashes are a crash loop, with growing waits before', () => {
    expect(crashEvery(100, 50)).toEqual({ waits: [250, 500, 1_000, 2_000], state: 'crash_loop' })
    expect(crashEvery(2_000, 50)).toEqual({ waits: [250, 500, 1_000, 2_000], state: 'crash_loop' })
  })

  it('a crash each 30 s is restarted for ever, soon each time', () => {
    const { waits, state } = crashEvery(30_000, 200)
    expect(state).toBeUndefined()
    expect(Math.max(...waits)).toBeLessThanOrEqual(1_000)
  })

  it('waits never get longer than four seconds', () => {
    const { waits } = crashEvery(10, 50, { enabled: true, max: 100, windowMs: 86_400_000 })
    expect(Math.max(...waits)).toBe(4_000)
  })

  it('a minute of health forgives what was before', () => {
    const long = { ...settings, windowMs: 3_600_000 }
    const crashes = [1, 2, 3, 4]
    expect(restartPolicy(life({ startedAt: 5, endedAt: 60_004 }), crashes, long).next).toBe('end')
    expect(restartPolicy(life({ startedAt: 5, endedAt: 60_005 }), crashes, long)).toMatchObject({
      next: 'restart',
      afterMs: 250,
      crashes: [60_005],
    })
  })

  it('with restarts off a failure is the end', () => {
    const off = { ...settings, enabled: false }
    expect(restartPolicy(life({ exitCode: 3 }), [], off)).toEqual({
      next: 'end',
      state: 'failed',
      reason: 'exit code 3; restarts are off',
    })
  })
})

describe('exitCodeOf', () => {
  it.each([
    { end: { state: 'completed', exitCode: 0, signal: null }, code: 0 },
    { end: { state: 'failed', exitCode: 42, signal: null }, code: 42 },
    { end: { state: 'crash_loop', exitCode: 255, signal: null }, code: 255 },
    { end: { state: 'failed', exitCode: null, signal: 'SIGKILL' }, code: 137 },
    { end: { state: 'stopped', exitCode: null, signal: 'SIGTERM' }, code: 143 },
    { end: { state: 'stopped', exitCode: 0, signal: null }, code: 0 },
    { end: { state: 'budget_stopped', exitCode: null, signal: 'SIGTERM' }, code: 3 },
    { end: { state: 'budget_stopped', exitCode: 0, signal: null }, code: 3 },
    { end: { state: 'blocked', exitCode: null, signal: 'SIGKILL' }, code: 1 },
    { end: { state: 'failed', exitCode: null, signal: null }, code: 1 },
  ] as const)('$end.state, code $end.exitCode, signal $end.signal exits with $code', ({ end, code }) => {
    expect(exitCodeOf(end)).toBe(code)
  })
})
