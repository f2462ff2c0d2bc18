import { describe, expect, it } from 'vitest'
import { exitCodeOf } from '../../src/agents/exit-code.ts'
import {
  type Exit,
  type Life,
  NO_HISTORY,
  type RestartSettings,
  restartPolicy,
} from '../../src/agents/restart-policy.ts'

const settings: RestartSettings = { enabled: true, max: 5, windowMs: 60_000, withoutProgress: 2 }
const life = (part: Partial<Life>): Life => ({
  exitCode: 1,
  signal: null,
  startedAt: 0,
  endedAt: 100,
  stoppedBy: null,
  progressed: false,
  refusal: undefined,
  lastError: undefined,
  called: false,
  missingKey: undefined,
  ...part,
})

describe('an error that the next run would meet as well is not a crash', () => {
  it.each([
    { lastError: "ModuleNotFoundError: No module named 'openai'" },
    { lastError: "ImportError: cannot import name 'x'", endedAt: 61_000 },
    { lastError: 'SyntaxError: invalid syntax' },
    { lastError: "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'openai'" },
    { lastError: "Error: Cannot find module 'openai'" },
  ])('a program that cannot be loaded is no crash: %o', (part) => {
    const reason = `exit code 1: ${part.lastError}`
    expect(restartPolicy(life(part), NO_HISTORY, settings)).toEqual({ next: 'end', state: 'failed', reason })
  })

  it('a key that its last error names and its environment lacks, before its first call', () => {
    const keyless = life({ lastError: 'OpenAIError: set OPENAI_API_KEY', missingKey: 'OPENAI_API_KEY' })
    expect(restartPolicy(keyless, NO_HISTORY, settings)).toEqual({
      next: 'end',
      state: 'failed',
      reason:
        'exit code 1: OPENAI_API_KEY is not set; set it in the environment or with "iron-cage secrets set OPENAI_API_KEY"',
    })
    expect(restartPolicy({ ...keyless, called: true }, NO_HISTORY, settings).next).toBe('restart')
    expect(restartPolicy({ ...keyless, progressed: true }, NO_HISTORY, settings).next).toBe('restart')
  })

  it('the same error twice before any call is no crash', () => {
    const second = (part: Partial<Life>) => {
      const first = restartPolicy(life({ lastError: 'KeyError: 1', ...part }), NO_HISTORY, settings)
      if (first.next !== 'restart') throw new Error('it was not restarted')
      return restartPolicy(life({ lastError: 'KeyError: 1', ...part }), first.history, settings)
    }
    const reason = 'exit code 1, twice before its first call: KeyError: 1'
    expect(second({})).toEqual({ next: 'end', state: 'failed', reason })
    for (const part of [{ called: true }, { progressed: true }, { lastError: undefined }, { lastError: '' }]) {
      expect(second(part).next).toBe('restart')
    }
  })

  it('a call that we refused is no crash', () => {
    const reason = 'exit code 1 after its call was refused (price_unknown)'
    const refused = life({ refusal: 'price_unknown' })
    expect(restartPolicy(refused, NO_HISTORY, settings)).toEqual({ next: 'end', state: 'failed', reason })
  })

  it('a wait for input on a terminal without a user is no crash', () => {
    const reason = 'exit code 1: EOFError: EOF when reading a line'
    const asking = life({ lastError: 'EOFError: EOF when reading a line', called: true })
    expect(restartPolicy(asking, NO_HISTORY, settings)).toEqual({ next: 'end', state: 'failed', reason })
  })

  it.each([
    { lastError: 'ValueError: ImportError' },
    { lastError: 'ImportError: no', exitCode: 42 },
    { lastError: 'SyntaxError: of a text that it was to run', endedAt: 10_000 },
  ])('another error is a crash: %o', (part) => {
    expect(restartPolicy(life(part), NO_HISTORY, settings).next).toBe('restart')
  })
})

/** Crashes a program again and again, each time after `livesMs`, and returns the waits and the end. */
function crashEvery(livesMs: number, times: number, progressed: (run: number) => boolean, use = settings) {
  const waits: number[] = []
  let history = NO_HISTORY
  let now = 0
  for (let run = 0; run < times; run += 1) {
    const ended = life({ startedAt: now, endedAt: now + livesMs, progressed: progressed(run) })
    const decision = restartPolicy(ended, history, use)
    now += livesMs
    if (decision.next === 'end') return { lives: run + 1, waits, ...decision }
    history = decision.history
    waits.push(decision.afterMs)
    now += decision.afterMs
  }
  return { lives: times, waits, state: undefined, reason: undefined }
}
const always = () => true
const never = () => false

describe('restartPolicy', () => {
  it.each([
    { stoppedBy: 'operator', state: 'stopped' },
    { stoppedBy: 'shutdown', state: 'stopped' },
    { stoppedBy: 'budget', state: 'budget_stopped' },
    { stoppedBy: 'pii', state: 'blocked' },
  ] as const)('a run stopped by $stoppedBy is $state and stays so, for any exit code', ({ stoppedBy, state }) => {
    for (const exitCode of [0, 1, 143]) {
      expect(restartPolicy(life({ stoppedBy, exitCode }), NO_HISTORY, settings)).toMatchObject({ next: 'end', state })
    }
  })

  it('exit code 0 is completed', () => {
    expect(restartPolicy(life({ exitCode: 0 }), NO_HISTORY, settings)).toMatchObject({
      next: 'end',
      state: 'completed',
    })
  })

  it.each<Exit>([
    { exitCode: 1, signal: null },
    { exitCode: 255, signal: null },
    { exitCode: null, signal: 'SIGSEGV' },
    { exitCode: null, signal: null, fault: 'spawn EAGAIN' },
  ])('a failure is restarted within five seconds: %o', (exit) => {
    const decision = restartPolicy(life(exit), NO_HISTORY, settings)
    expect(decision).toMatchObject({ next: 'restart' })
    expect(decision.next === 'restart' && decision.afterMs).toBeLessThan(1_000)
  })

  it.each([
    { what: 'at once', livesMs: 100 },
    { what: 'after 61 s', livesMs: 61_000 },
    { what: 'once a week', livesMs: 604_800_000 },
  ])('a program that fails $what and gets nowhere has three lives', ({ livesMs }) => {
    const { lives, waits, state, reason } = crashEvery(livesMs, 50, never)
    expect({ lives, state, reason }).toEqual({
      lives: 3,
      state: 'crash_loop',
      reason: 'exit code 1; 3 lives without progress',
    })
    expect(Math.max(...waits)).toBeLessThanOrEqual(500)
  })

  it('progress forgives the lives without it, and nothing else does', () => {
    const everyThird = (run: number) => run % 3 === 2
    expect(crashEvery(61_000, 200, everyThird)).toMatchObject({ lives: 200, state: undefined })
    expect(crashEvery(61_000, 200, (run) => run === 0)).toMatchObject({ lives: 4, state: 'crash_loop' })
  })

  it('the number of restarts without progress is configurable, down to none', () => {
    const of = (withoutProgress: number) => crashEvery(61_000, 50, never, { ...settings, withoutProgress })
    expect(of(0)).toMatchObject({ lives: 1, reason: 'exit code 1; a life without progress' })
    expect(of(7)).toMatchObject({ lives: 8 })
  })

  it('one that could not be started has not lived, and is tried as often as any crash', () => {
    const fault = life({ exitCode: null, fault: 'spawn EAGAIN' })
    expect(restartPolicy(fault, { crashes: [], fruitless: 2 }, settings)).toMatchObject({ history: { fruitless: 2 } })
    expect(restartPolicy(fault, { crashes: [1, 2, 3, 4], fruitless: 0 }, settings)).toMatchObject({
      state: 'crash_loop',
      reason: 'could not be started: spawn EAGAIN; 5 crashes within 60 s',
    })
  })

  it('five quick crashes are a crash loop in spite of progress, with growing waits before', () => {
    const quick = { waits: [250, 500, 1_000, 2_000], state: 'crash_loop', reason: 'exit code 1; 5 crashes within 60 s' }
    expect(crashEvery(100, 50, always)).toMatchObject(quick)
    expect(crashEvery(2_000, 50, always)).toMatchObject(quick)
  })

  it('a program that makes progress and crashes every 30 s is always restarted, with a short wait', () => {
    const { waits, state } = crashEvery(30_000, 200, always)
    expect(state).toBeUndefined()
    expect(Math.max(...waits)).toBeLessThanOrEqual(1_000)
  })

  it('a wait lasts at most four seconds', () => {
    const { waits } = crashEvery(10, 50, always, { ...settings, max: 100, windowMs: 86_400_000 })
    expect(Math.max(...waits)).toBe(4_000)
  })

  it('with restarts off a failure is final', () => {
    const off = { ...settings, enabled: false }
    expect(restartPolicy(life({ exitCode: 3 }), NO_HISTORY, off)).toEqual({
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
