import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../src/clock.ts'
import type { RuntimeEvent } from '../src/events.ts'
import { LineWriter, type LogOptions, openLog, textLine } from '../src/log.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'iron-cage-log-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

let now = Date.UTC(2026, 10, 21, 14, 23, 45)
beforeEach(() => {
  now = Date.UTC(2026, 10, 21, 14, 23, 45)
})

const dir = () => join(folder, 'logs')
const open = (options: Partial<LogOptions> = {}) =>
  openLog({
    dir: dir(),
    level: 'info',
    retentionDays: 7,
    redact: (text) => text.replaceAll('ceo@acme.com', '[EMAIL_REDACTED]'),
    clock: { ...systemClock, now: () => now },
    ...options,
  })
const lines = (day: string) =>
  readFileSync(join(dir(), `iron-cage-${day}.log`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

const output = (text: string): RuntimeEvent => ({
  seq: 7,
  at: '2026-11-21T14:23:45.000Z',
  agent_id: 'lg-7a3f9c2d',
  level: 'INFO',
  type: 'agent.output',
  message: text,
  data: { stream: 'stdout', text },
})

describe('the log file', () => {
  test('an event is one JSON line with its agent, its type and its data', async () => {
    const log = open()
    log.event(output('lead 23 done'))
    await log.close()
    expect(lines('2026-11-21')).toEqual([
      {
        level: 'INFO',
        time: '2026-11-21T14:23:45.000Z',
        seq: 7,
        agent_id: 'lg-7a3f9c2d',
        type: 'agent.output',
        data: { stream: 'stdout', text: 'lead 23 done' },
        message: 'lead 23 done',
      },
    ])
  })

  test('what would steer a terminal or turn its text around is an escape, and the same JSON', async () => {
    const log = open()
    log.event(output('a\u009b31mb\u202ec\u2066d\u2028e'))
    await log.close()
    expect(readFileSync(log.path, 'utf8')).toContain('a\\u009b31mb\\u202ec\\u2066d\\u2028e')
    expect(lines('2026-11-21')).toMatchObject([{ message: 'a\u009b31mb\u202ec\u2066d\u2028e' }])
  })

  test('OK and CRIT are INFO and ERROR in the file', async () => {
    const log = open()
    log.event({ ...output('a'), level: 'OK' })
    log.event({ ...output('b'), level: 'CRIT' })
    await log.close()
    expect(lines('2026-11-21').map(({ level }) => level)).toEqual(['INFO', 'ERROR'])
  })

  test('what is below the level is left out', async () => {
    const log = open({ level: 'warn' })
    log.event(output('not this'))
    log.info('nor this')
    log.warn('this')
    await log.close()
    expect(lines('2026-11-21').map(({ message }) => message)).toEqual(['this'])
  })

  test('messages, facts and errors with their causes go through the redactor', async () => {
    const log = open()
    const cause = new Error('ceo@acme.com refused')
    log.error('mail to ceo@acme.com', { agent_id: 'a-1', to: ['ceo@acme.com'], error: new Error('failed', { cause }) })
    await log.close()
    expect(readFileSync(log.path, 'utf8')).not.toContain('ceo@acme.com')
    expect(lines('2026-11-21')[0]).toMatchObject({
      agent_id: 'a-1',
      message: 'mail to [EMAIL_REDACTED]',
      to: ['[EMAIL_REDACTED]'],
      error: expect.stringMatching(/^Error: failed\n[\s\S]*caused by Error: \[EMAIL_REDACTED\] refused/),
    })
  })

  test('it is for its owner only', async () => {
    const log = open()
    await log.close()
    expect(statSync(dir()).mode & 0o777).toBe(0o700)
    expect(statSync(log.path).mode & 0o777).toBe(0o600)
  })

  test('a new day is a new file, and no line is lost on the way', async () => {
    const log = open()
    log.info('before midnight')
    await written(log.path, 'before midnight')
    now += 10 * 3_600_000
    log.info('after midnight')
    await log.close()
    expect(lines('2026-11-21').map(({ message }) => message)).toEqual(['before midnight'])
    expect(lines('2026-11-22').map(({ message }) => message)).toEqual(['after midnight'])
    expect(log.path).toBe(join(dir(), 'iron-cage-2026-11-22.log'))
  })

  test('a full file goes on in another, all of it is kept for a while, and the oldest go', async () => {
    const log = open({ fullBytes: 1_000 })
    const line = (number: number) => `line ${number} ${'x'.repeat(900)}`
    for (let number = 1; number <= 27; number++) {
      log.info(line(number))
      await written(log.path, `line ${number} `)
    }
    await log.close()
    // Two lines fill a file; ten full ones are kept.
    const kept = (name: string) => lines(`2026-11-21${name}`).map(({ message }) => message.split(' ')[1])
    expect(kept('')).toEqual(['27'])
    expect(readdirSync(dir())).toHaveLength(11)
    expect(kept('.13')).toEqual(['25', '26'])
    expect(readdirSync(dir())).not.toContain('iron-cage-2026-11-21.3.log')
    const again = open({ fullBytes: 1 })
    again.info('after a restart')
    await again.close()
    expect(readdirSync(dir())).toContain('iron-cage-2026-11-21.14.log')
  })

  test('files older than the retention are deleted, and nothing else', async () => {
    await open().close()
    const names = [
      'iron-cage-2026-11-13.log',
      'iron-cage-2026-11-13.2.log',
      'iron-cage-2026-11-14.log',
      'iron-cage-old.log',
      'notes-2020-01-01.log',
    ]
    for (const name of names) writeFileSync(join(dir(), name), '')
    await open().close()
    expect(readdirSync(dir()).sort()).toEqual([
      'iron-cage-2026-11-14.log',
      'iron-cage-2026-11-21.log',
      'iron-cage-old.log',
      'notes-2020-01-01.log',
    ])
  })

  test('a folder that cannot be made is told with the setting', () => {
    writeFileSync(join(folder, 'logs'), 'a file')
    expect(() => open()).toThrow(expect.objectContaining({ code: 'invalid_config', facts: { 'log.dir': dir() } }))
  })
})

describe('writing lines', () => {
  const lostLine = (lost: number) => `${lost} lost\n`

  test('ten thousand lines arrive in order', async () => {
    const path = join(folder, 'lines')
    const descriptor = openSync(path, 'w')
    const writer = new LineWriter({ clock: systemClock, descriptor: () => descriptor, lostLine })
    const expected = Array.from({ length: 10_000 }, (_, index) => `line ${index}\n`)
    for (const line of expected) writer.write(line)
    await writer.close()
    closeSync(descriptor)
    expect(readFileSync(path, 'utf8')).toBe(expected.join(''))
  })

  test('a flood is bounded, and a line tells how much was lost', async () => {
    const path = join(folder, 'flood')
    const descriptor = openSync(path, 'w')
    const writer = new LineWriter({ clock: systemClock, descriptor: () => descriptor, lostLine })
    const megabyte = `${'x'.repeat(1024 * 1024 - 1)}\n`
    for (let count = 0; count < 20; count++) writer.write(megabyte)
    await writer.close()
    closeSync(descriptor)
    expect(readFileSync(path, 'utf8')).toBe(`${megabyte.repeat(8)}12 lost\n`)
  })

  test.runIf(process.platform === 'linux')(
    'what a full disk takes away is counted once there is room again',
    async () => {
      const path = join(folder, 'recovered')
      const room = openSync(path, 'w')
      const full = openSync('/dev/full', 'w')
      let descriptor = full
      const failed = Promise.withResolvers<string | undefined>()
      const writer = new LineWriter({
        clock: systemClock,
        descriptor: () => descriptor,
        lostLine,
        onFault: ({ code }) => failed.resolve(code),
      })
      writer.write('one\n')
      writer.write('two\n')
      expect(await failed.promise).toBe('ENOSPC')
      descriptor = room
      writer.write('three\n')
      await writer.close()
      closeSync(full)
      closeSync(room)
      expect(readFileSync(path, 'utf8')).toBe('three\n2 lost\n')
    },
  )
})

describe('a line on the terminal', () => {
  // Local time: the test says in which zone it is.
  const time = new Date('2026-11-21T14:23:45.000Z').toTimeString().slice(0, 8)

  test('has local time, a level padded to five, and the message', () => {
    expect(textLine(output('lead 23 done'), { color: false })).toBe(`[${time}] INFO  lead 23 done`)
    expect(textLine({ ...output('spent'), level: 'ERROR' }, { color: false })).toBe(`[${time}] ERROR spent`)
  })

  test('is coloured by level only when it may be', () => {
    expect(textLine({ ...output('x'), level: 'WARN' }, { color: true })).toBe(`[${time}] \u001b[33mWARN \u001b[0m x`)
  })

  test('a decision comes with its facts below', () => {
    const event: RuntimeEvent = {
      ...output(''),
      level: 'WARN',
      type: 'budget.warned',
      message: 'Budget at 90.1 %',
      data: { spent_usd: '45.07', limit_usd: '50', threshold: 0.9, used_percent: 90.14, suggested_increase_usd: '25' },
    }
    expect(textLine(event, { color: false }).split('\n')).toEqual([
      `[${time}] WARN  Budget at 90.1 %`,
      '  ├─ Spent: $45.07 of $50.00 (90.1%)',
      '  └─ Suggested: approve $25.00 more',
    ])
  })

  test.each([
    ['probe', 'the probe'],
    ['operator', 'an operator'],
  ] as const)('a circuit that closes by %s tells so, and what follows', (by, who) => {
    const closed: RuntimeEvent = { ...output('closed'), type: 'circuit.closed', data: { circuit: 'linkedin_api', by } }
    expect(textLine(closed, { color: false }).split('\n').slice(1)).toEqual([
      `  ├─ By: ${who}`,
      '  └─ Calls: live again, failures counted from zero',
    ])
  })

  test('what an agent prints cannot move the cursor, forge a line or hide text', () => {
    const nasty = 'a\u001b[2J\u001b]0;title\u0007b\r\n[00:00:00] INFO  forged\u0008\u202ec\u009b31m'
    const line = textLine(output(nasty), { color: false })
    expect(line).toBe(`[${time}] INFO  ab [00:00:00] INFO  forgedc`)
  })
})

async function written(path: string, text: string): Promise<void> {
  await expect.poll(() => readFileSync(path, 'utf8'), { timeout: 60_000 }).toContain(text)
}
