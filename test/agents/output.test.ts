import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, expect, it, vi } from 'vitest'
import { type Line, LineReader, readLines } from '../../src/agents/output.ts'
import { OutputPace } from '../../src/agents/output-pace.ts'
import { configSchema } from '../../src/config/schema.ts'
import { systemClock } from '../../src/core/clock.ts'
import { Safety } from '../../src/redaction/safety.ts'
import { TestClock } from '../support/clock.ts'

const SECOND = 1_000
const MAX_LENGTH = 16_384

/** A reader with a clock moved by hand. */
function openReader({
  redact = (text: string) => text,
  redactBeginning = (text: string) => text,
  room = Number.POSITIVE_INFINITY,
} = {}) {
  const clock = new TestClock()
  const lines: Line[] = []
  const logged: string[] = []
  const notes: { logged: number; dropped: number }[] = []
  let left = room
  const reader = new LineReader(
    {
      redact,
      redactBeginning,
      show: (shown) => lines.push(...shown),
      hasRoom: (bytes) => {
        left -= bytes
        return left >= 0
      },
      log: (text) => logged.push(text),
      note: (counts) => notes.push(counts),
    },
    clock,
  )
  const tick = (ms: number) => clock.advance(ms)
  const push = (bytes: Buffer) => {
    reader.add(bytes)
    reader.work()
  }
  return { reader, push, lines, logged, notes, tick, texts: () => lines.map(({ text }) => text) }
}

/** The lines of some bytes, which must not depend on where the chunks are cut. */
function linesOf(bytes: Buffer, redact?: (text: string) => string): string[] {
  const whole = openReader({ redact })
  whole.push(bytes)
  whole.reader.end()
  const single = openReader({ redact })
  for (const byte of bytes) single.push(Buffer.of(byte))
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

  it('a line is redacted after its colors are removed', () => {
    const redact = (text: string) => text.replace('ann@acme.com', '[EMAIL_REDACTED]')
    expect(linesOf(Buffer.from('to ann\x1b[1m@acme\x1b[0m.com\n'), redact)).toEqual(['to [EMAIL_REDACTED]'])
  })
})

describe('a line that is too long', () => {
  it('a line that is too long is cut and marked, and the next one is whole', () => {
    const { push, lines } = openReader()
    push(Buffer.from(`${'x'.repeat(100_000)}\nafter\n`))
    expect(lines.map(({ text, truncated }) => [text.length, truncated])).toEqual([
      [MAX_LENGTH, true],
      [5, false],
    ])
  })

  it('a line just as long as allowed is whole', () => {
    const { push, lines } = openReader()
    push(Buffer.from(`${'x'.repeat(MAX_LENGTH)}\n`))
    expect(lines).toEqual([{ text: 'x'.repeat(MAX_LENGTH), truncated: false }])
  })

  it('a line that is too long shows no part of a datum at the cut, wherever it lies', () => {
    const redact = (text: string) => text.replaceAll('ann@acme.com', '[E]')
    for (let at = MAX_LENGTH - 20; at < MAX_LENGTH + 600; at += 1) {
      const { push, texts } = openReader({ redact })
      push(Buffer.from(`${'x'.repeat(at)}ann@acme.com${'y'.repeat(2_000)}\n`))
      expect(texts()[0], `at ${at}`).not.toContain('a')
    }
  })

  it('a line that is too long shows no part of the last datum when redaction makes the line shorter', () => {
    const redact = (text: string) => text.replaceAll('ann@acme.com', '')
    for (let shift = 0; shift < 12; shift += 1) {
      const { push, texts } = openReader({ redact })
      push(Buffer.from(`${'x'.repeat(shift)}${'ann@acme.com'.repeat(10_000)}\n`))
      expect(texts()[0], `shifted by ${shift}`).not.toContain('a')
    }
  })

  it('a gigabyte without a newline takes the memory of one line', () => {
    const { push, lines } = openReader()
    const megabyte = Buffer.alloc(1_048_576, 'x')
    const before = process.memoryUsage().rss
    for (let sent = 0; sent < 1_024; sent += 1) push(megabyte)
    push(Buffer.from('\n'))
    expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1_048_576)
    expect(lines).toHaveLength(1)
  })
})

describe('output that comes too fast', () => {
  const many = (count: number, from = 0) =>
    Buffer.from(Array.from({ length: count }, (_, index) => `line ${from + index}\n`).join(''))
  const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => `line ${from + index}`)

  it('output that comes too fast is in the log file but for two hundred lines a second, and the last lines are held to be shown', () => {
    const { reader, push, texts, logged, notes, tick } = openReader()
    push(many(1_000))
    expect(texts()).toEqual(numbered(0, 200))
    expect(logged).toEqual(numbered(200, 950))
    tick(SECOND)
    expect(texts().slice(200)).toEqual(numbered(950, 1_000))
    expect(notes).toEqual([{ logged: 750, dropped: 0 }])
    push(many(10, 1_000))
    reader.end()
    expect(texts().slice(250)).toEqual(numbered(1_000, 1_010))
    expect(notes).toHaveLength(1)
  })

  it('output that comes too fast is dropped and counted when the log file has no more room for it, never the end of it', () => {
    const { reader, push, texts, logged, notes } = openReader({ room: 50 })
    push(many(1_000))
    push(Buffer.from('Traceback (most recent call last):\n  File "agent.py"\nKeyError'))
    reader.end()
    expect(logged).toEqual(numbered(200, 206))
    expect(notes).toEqual([{ logged: 6, dropped: 747 }])
    expect(texts().slice(-3)).toEqual(['Traceback (most recent call last):', '  File "agent.py"', 'KeyError'])
  })

  it('the limit of output counts bytes, including the bytes of lines that wait', () => {
    const { reader, push, lines, logged } = openReader()
    push(Buffer.from(`${'x'.repeat(10_000)}\n`.repeat(100)))
    expect([lines.length, logged.length]).toEqual([7, 87])
    reader.end()
    expect(lines).toHaveLength(13)
  })

  it('output that comes too fast is shown, logged or counted, each line once and in order, wherever the chunks are cut', () => {
    for (const size of [1, 3, 7, 64, 999]) {
      const { reader, push, texts, logged, tick } = openReader()
      const bytes = many(3_000)
      for (let at = 0; at < bytes.length; at += size) {
        push(bytes.subarray(at, at + size))
        tick(size / 10)
      }
      reader.end()
      const order = (lines: string[]) => lines.map((line) => Number(line.slice('line '.length)))
      expect([...order(texts()), ...order(logged)].sort((a, b) => a - b)).toEqual(numbered(0, 3_000).map((_, i) => i))
      for (const lines of [order(texts()), order(logged)]) expect(lines).toEqual(lines.toSorted((a, b) => a - b))
      expect(texts().length, `chunks of ${size}`).toBeGreaterThan(200)
    }
  })

  it('output that comes too fast is processed in slices that stop when their time is up', () => {
    const { reader, texts } = openReader()
    reader.add(many(30))
    const answers = [...Array.from({ length: 10 }, () => false), true]
    expect(reader.work(() => answers.shift()!)).toBe(false)
    expect(texts()).toEqual(numbered(0, 10))
    expect(reader.work()).toBe(true)
    expect(texts()).toEqual(numbered(0, 30))
  })
})

describe('a line that has no end yet', () => {
  it('a line that has no end yet is shown after a second as it is by then, and once more when it has become longer', () => {
    const { push, tick, texts, reader } = openReader()
    push(Buffer.from('\r10 %'))
    tick(SECOND - 1)
    expect(texts()).toEqual([])
    push(Buffer.from('\r20 %'))
    tick(1)
    expect(texts()).toEqual(['20 %'])
    push(Buffer.from('\r30 %'))
    tick(SECOND)
    push(Buffer.from('\r40 %\n'))
    reader.end()
    expect(texts()).toEqual(['20 %', '30 %', '40 %'])
  })

  it('a line that has no end yet is not shown again when nothing was added to it', () => {
    const { push, tick, texts, reader } = openReader()
    push(Buffer.from('Your question: '))
    tick(5 * SECOND)
    push(Buffer.from('\n'))
    reader.end()
    expect(texts()).toEqual(['Your question: '])
  })

  it('an unfinished line hides text that may become personal data', () => {
    const safety = new Safety(configSchema.parse({}).safety)
    const { push, tick, texts, reader } = openReader({
      redact: safety.scrubEvent,
      redactBeginning: (text) => safety.redactBeginning(text),
    })
    push(Buffer.from('writing to jane.roe@acme'))
    tick(SECOND)
    push(Buffer.from('.com\n'))
    reader.end()
    expect(texts()).toEqual(['writing to ', 'writing to [EMAIL_REDACTED]'])
  })

  it.each([
    ['step 3 of 8', 'step 3 of 8'],
    ['10%|####      | 10/100', '10%|####      | 10/100'],
    ['Your question: ', 'Your question: '],
    ['call 415-555-01', ''],
    ['mail jane.roe@', 'mail '],
    ['key sk-proj-abc', 'key '],
  ])('an unfinished line of "%s" shows "%s"', (text, shown) => {
    expect(new Safety(configSchema.parse({}).safety).redactBeginning(text)).toBe(shown)
  })

  it('however long a progress bar was drawn, its last state is shown whole', () => {
    const bar = Array.from({ length: 5_000 }, (_, step) => `\r${step} of 5000`).join('')
    expect(linesOf(Buffer.from(`${bar}\ndone\n`))).toEqual(['4999 of 5000', 'done'])
  })
})

describe('the reading of a stream', () => {
  /** Takes a while for each line. */
  const slowSink = (ms: number, shown: string[]) => ({
    redact: (text: string) => {
      for (const until = performance.now() + ms; performance.now() < until; ) {
        // Busy, as a redactor is.
      }
      return text
    },
    redactBeginning: (text: string) => text,
    show: (lines: Line[]) => void shown.push(...lines.map(({ text }) => text)),
    hasRoom: () => false,
    log: () => {},
    note: () => {},
  })

  it('the reading of a stream takes at most a fifth of the time, and faster writers wait', async () => {
    const shown: string[] = []
    const stream = new PassThrough({ highWaterMark: 1_024 })
    const reading = readLines(stream, new LineReader(slowSink(1, shown), systemClock), new OutputPace(systemClock))
    const startedAt = performance.now()
    let waits = 0
    for (let line = 0; line < 150; line += 1) {
      if (stream.write(`${String(line).padEnd(100)}\n`)) continue
      waits += 1
      await once(stream, 'drain')
    }
    stream.end()
    await reading.ended
    expect(shown.map(Number)).toEqual(Array.from({ length: 150 }, (_, index) => index))
    expect(waits).toBeGreaterThan(5)
    // A fifth of it is the work itself.
    expect(performance.now() - startedAt).toBeGreaterThan(500)
  })

  it("reading ends promptly after the agent's end, and then includes all unread output", async () => {
    const shown: string[] = []
    const stream = new PassThrough()
    const reading = readLines(stream, new LineReader(slowSink(0.1, shown), systemClock), new OutputPace(systemClock))
    stream.write('one\n')
    await vi.waitFor(() => expect(shown).toEqual(['one']))
    stream.write('two\nKeyError')
    reading.hurry()
    reading.close()
    await reading.ended
    expect(shown).toEqual(['one', 'two', 'KeyError'])
  })
})
