import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { LineReader } from '../../src/agents/output.ts'
import type { Clock } from '../../src/clock.ts'

const SECOND = 1_000
const LONGEST = 16_384

/** A reader with a clock moved by hand; the timer that tells drops follows it. */
function openReader(redact = (text: string) => text) {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  let now = 0
  const clock: Clock = { now: () => now, monotonic: () => now }
  const lines: { text: string; truncated: boolean }[] = []
  const drops: number[] = []
  const reader = new LineReader(redact, clock, {
    onLine: (text, truncated) => lines.push({ text, truncated }),
    onDropped: (count) => drops.push(count),
  })
  const tick = (ms: number) => {
    now += ms
    vi.advanceTimersByTime(ms)
  }
  return { reader, lines, drops, tick, texts: () => lines.map(({ text }) => text) }
}

/** The lines of some bytes, which must not depend on where the chunks are cut. */
function linesOf(bytes: Buffer, redact?: (text: string) => string): string[] {
  const whole = openReader(redact)
  whole.reader.push(bytes)
  whole.reader.end()
  const single = openReader(redact)
  for (const byte of bytes) single.reader.push(Buffer.of(byte))
  single.reader.end()
  expect(single.lines).toEqual(whole.lines)
  return whole.texts()
}

describe('bytes become lines', () => {
  it.each([
    ['lines end with a newline', 'one\ntwo\n', ['one', 'two']],
    ['the last line may lack it', 'one\ntwo', ['one', 'two']],
    ['an empty line is a line', '\n\none\n', ['', '', 'one']],
    ['nothing is no line', '', []],
    ['a carriage return before the newline is part of it', 'one\r\ntwo\r\n', ['one', 'two']],
    ['a progress bar is its last state', '10 %\r20 %\r30 %\ndone\n', ['30 %', 'done']],
    ['colours are removed', '\x1b[1;31mred\x1b[0m and \x1b[38;5;200mpink\x1b[m\n', ['red and pink']],
    ['titles and links are removed', '\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\x1b]8;;\x1b\\\n', ['ab']],
    ['cursor moves are removed', '\x1b[2J\x1b[H\x1b7text\x1b8\x1b(B\n', ['text']],
    ['an escape sequence that never ends is removed', 'a\x1b[31\nb\x1b\n', ['a', 'b']],
    ['control characters are made visible', 'a\0b\x08c\x07\n', ['a\ufffdb\ufffdc\ufffd']],
    ['a tab stays', 'a\tb\n', ['a\tb']],
    ['emoji and accents stay', 'né 🎉\n', ['né 🎉']],
  ])('%s', (_name, text, expected) => {
    expect(linesOf(Buffer.from(text))).toEqual(expected)
  })

  it('invalid UTF-8 is replaced', () => {
    expect(linesOf(Buffer.from('61ff62c328630a', 'hex'))).toEqual(['a\ufffdb\ufffd(c'])
  })

  it('a line is redacted after its colours are gone', () => {
    const redact = (text: string) => text.replace('ann@acme.com', '[EMAIL_REDACTED]')
    expect(linesOf(Buffer.from('to ann\x1b[1m@acme\x1b[0m.com\n'), redact)).toEqual(['to [EMAIL_REDACTED]'])
  })
})

describe('a line that is too long', () => {
  it('is cut and marked, and the next one is whole', () => {
    const { reader, lines } = openReader()
    reader.push(Buffer.from(`${'x'.repeat(100_000)}\nafter\n`))
    expect(lines.map(({ text, truncated }) => [text.length, truncated])).toEqual([
      [LONGEST, true],
      [5, false],
    ])
  })

  it('just as long as allowed is whole', () => {
    const { reader, lines } = openReader()
    reader.push(Buffer.from(`${'x'.repeat(LONGEST)}\n`))
    expect(lines).toEqual([{ text: 'x'.repeat(LONGEST), truncated: false }])
  })

  it('shows no part of a datum at the cut, wherever it lies', () => {
    const redact = (text: string) => text.replaceAll('ann@acme.com', '[E]')
    for (let at = LONGEST - 20; at < LONGEST + 600; at += 1) {
      const { reader, texts } = openReader(redact)
      reader.push(Buffer.from(`${'x'.repeat(at)}ann@acme.com${'y'.repeat(2_000)}\n`))
      expect(texts()[0], `at ${at}`).not.toContain('a')
    }
  })

  it('shows no part of the last datum when redaction makes the line shorter', () => {
    const redact = (text: string) => text.replaceAll('ann@acme.com', '')
    for (let shift = 0; shift < 12; shift += 1) {
      const { reader, texts } = openReader(redact)
      reader.push(Buffer.from(`${'x'.repeat(shift)}${'ann@acme.com'.repeat(10_000)}\n`))
      expect(texts()[0], `shifted by ${shift}`).not.toContain('a')
    }
  })

  it('a gigabyte without a newline takes the memory of one line', () => {
    const { reader, lines } = openReader()
    const megabyte = Buffer.alloc(1_048_576, 'x')
    const before = process.memoryUsage().rss
    for (let sent = 0; sent < 1_024; sent += 1) reader.push(megabyte)
    reader.push(Buffer.from('\n'))
    expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1_048_576)
    expect(lines).toHaveLength(1)
  })
})

describe('a flood', () => {
  const many = (count: number, text = 'line') => Buffer.from(`${text}\n`.repeat(count))

  it('two hundred lines a second are shown, the rest is counted and told', () => {
    const { reader, lines, drops, tick } = openReader()
    reader.push(many(1_000))
    expect([lines.length, drops]).toEqual([200, []])
    tick(SECOND)
    expect(drops).toEqual([800])
    reader.push(many(10))
    expect(lines).toHaveLength(210)
    tick(SECOND)
    expect(drops).toEqual([800])
  })

  it('long lines count by their bytes', () => {
    const { reader, lines, drops } = openReader()
    reader.push(many(100, 'x'.repeat(10_000)))
    reader.end()
    expect([lines.length, drops]).toEqual([7, [93]])
  })

  it('every line is shown or counted, wherever the chunks are cut', () => {
    for (const size of [1, 3, 7, 64, 999]) {
      const { reader, lines, drops, tick } = openReader()
      const bytes = Buffer.from(Array.from({ length: 3_000 }, (_, index) => `line ${index}\n`).join(''))
      for (let at = 0; at < bytes.length; at += size) {
        reader.push(bytes.subarray(at, at + size))
        tick(size / 10)
      }
      reader.end()
      const dropped = drops.reduce((sum, count) => sum + count, 0)
      expect(lines.length + dropped, `chunks of ${size}`).toBe(3_000)
      expect(lines.every(({ text }) => /^line \d+$/.test(text))).toBe(true)
      expect(lines.length).toBeGreaterThan(200)
    }
  })

  it('the rest of a line whose beginning was dropped is not shown', () => {
    const { reader, texts, drops, tick } = openReader()
    reader.push(Buffer.concat([many(200), Buffer.from('begin')]))
    tick(SECOND)
    reader.push(Buffer.from('ning\nnext\n'))
    reader.end()
    expect(texts().slice(200)).toEqual(['next'])
    expect(drops).toEqual([1])
  })
})
