import { describe, expect, test } from 'vitest'
import { isBeforeSending, parseRetryAfter, retry, waitMs, withClampedRetryAfter } from '../../src/breaker/retry.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { TestClock } from '../support/clock.ts'

const signal = new AbortController().signal

/** Waits are over at once. */
const clock: Clock = { ...systemClock, sleep: async () => undefined }

function failing(times: number): { attempt: () => Promise<string>; attempts: () => number } {
  let attempts = 0
  return {
    attempts: () => attempts,
    attempt: async () => {
      attempts++
      if (attempts <= times) throw new Error(`attempt ${attempts}`)
      return 'answer'
    },
  }
}

test('a retry tries again until an attempt succeeds', async () => {
  const { attempt, attempts } = failing(2)
  await expect(retry(attempt, { retries: 3, clock, signal, isRetryable: () => true })).resolves.toBe('answer')
  expect(attempts()).toBe(3)
})

test('after so many retries the last error is thrown', async () => {
  const { attempt, attempts } = failing(9)
  await expect(retry(attempt, { retries: 2, clock, signal, isRetryable: () => true })).rejects.toThrow('attempt 3')
  expect(attempts()).toBe(3)
})

test('an error that is not retryable is thrown at once', async () => {
  const { attempt, attempts } = failing(9)
  await expect(retry(attempt, { retries: 2, clock, signal, isRetryable: () => false })).rejects.toThrow('attempt 1')
  expect(attempts()).toBe(1)
})

test('an abort ends the wait at once and throws its reason', async () => {
  const gone = new AbortController()
  const { attempt, attempts } = failing(9)
  const retried = retry(attempt, {
    retries: 5,
    signal: gone.signal,
    isRetryable: () => true,
    // On a clock that stands still nothing else ends the wait.
    clock: new TestClock(),
    retryAfterMs: () => {
      setImmediate(() => gone.abort(new Error('the client left')))
      return 2_000
    },
  })
  await expect(retried).rejects.toThrow('the client left')
  expect(attempts()).toBe(1)
})

test('waits double from a tenth of a second to two seconds, each shortened by chance to its half at most', () => {
  const longest = [0, 1, 2, 3, 4, 5, 40].map((done) => waitMs(done, undefined, 1))
  expect(longest).toEqual([100, 200, 400, 800, 1_600, 2_000, 2_000])
  expect(waitMs(0, undefined, 0)).toBe(50)
})

test('a short requested wait is respected, one above two seconds is left to the circuit', () => {
  expect(waitMs(0, 1_500, 1)).toBe(1_500)
  expect(waitMs(3, 10, 1)).toBe(800)
  expect(waitMs(0, 1_800_000, 1)).toBe(100)
})

describe('a Retry-After header', () => {
  const now = Date.parse('2026-01-02T03:04:05Z')
  const rows: [string | undefined, number | undefined][] = [
    ['0', 0],
    ['1800', 1_800_000],
    ['1.5', 1_500],
    [' 7 ', 7_000],
    ['9999999999', 3_600_000],
    ['9'.repeat(400), 3_600_000],
    ['Fri, 02 Jan 2026 03:05:05 GMT', 60_000],
    ['Fri, 02 Jan 2026 03:00:00 GMT', 0],
    ['Fri, 02 Jan 9026 03:00:00 GMT', 3_600_000],
    ['-5', undefined],
    ['1e9', undefined],
    ['0x10', undefined],
    ['soon', undefined],
    ['', undefined],
    ['Abc, 99 Xyz 2026 03:05:05 GMT', undefined],
    [undefined, undefined],
  ]
  test.each(rows)('a Retry-After header of "%s" means %s ms', (header, ms) =>
    expect(parseRetryAfter({ 'retry-after': header }, now)).toBe(ms),
  )

  test('a Retry-After header gives way to one in milliseconds', () => {
    expect(parseRetryAfter({ 'retry-after': '2', 'retry-after-ms': '1250' }, now)).toBe(1_250)
    expect(parseRetryAfter({ 'retry-after': '2', 'retry-after-ms': 'soon' }, now)).toBe(2_000)
  })

  test('an absurd Retry-After header is not passed on as it is', () => {
    expect(withClampedRetryAfter({ 'retry-after': '9999999999', 'x-a': '1' }, now)).toEqual({
      'retry-after': '3600',
      'x-a': '1',
    })
    expect(withClampedRetryAfter({ 'retry-after-ms': '1e5', 'retry-after': '7' }, now)).toEqual({
      'retry-after-ms': '1e5',
      'retry-after': '7',
    })
  })
})

test.each([
  ['ECONNREFUSED', true],
  ['ENETUNREACH', true],
  ['UND_ERR_CONNECT_TIMEOUT', true],
  ['ERR_TLS_CERT_ALTNAME_INVALID', true],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', true],
  ['ECONNRESET', false],
  ['UND_ERR_HEADERS_TIMEOUT', false],
  ['', false],
])('after %j nothing was sent for certain: %s', (code, is) => {
  expect(isBeforeSending(code)).toBe(is)
})
