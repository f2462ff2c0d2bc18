import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { type LogOptions, openLog } from '../../src/log/log.ts'
import { output } from './support.ts'

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

  test('the log of an event caused by a user includes the user name', async () => {
    const log = open()
    const circuit = { ...output(''), type: 'circuit.closed' } as const
    log.event({ ...output(''), type: 'agent.paused', data: { by: 'vic' } })
    log.event({ ...circuit, data: { circuit: 'openai', by: 'operator' } })
    log.event({ ...circuit, data: { circuit: 'openai', by: 'probe' } })
    await log.close()
    expect(lines('2026-11-21').map(({ user_id }) => user_id)).toEqual(['vic', 'operator', undefined])
  })

  test('control characters of a terminal are escaped in the log file, and the JSON stays the same', async () => {
    const log = open()
    log.event(output('a\u009b31mb\u202ec\u2066d\u2028e'))
    await log.close()
    expect(readFileSync(log.path, 'utf8')).toContain('a\\u009b31mb\\u202ec\\u2066d\\u2028e')
    expect(lines('2026-11-21')).toMatchObject([{ message: 'a\u009b31mb\u202ec\u2066d\u2028e' }])
  })

  test('pino-pretty reads the log file', async () => {
    const log = open()
    log.event(output('lead 23 done'))
    log.logger.warn({ agent_id: 'a-1' }, 'a warning')
    await log.close()
    const pretty = join(import.meta.dirname, '../../node_modules/.bin/pino-pretty')
    const text = execFileSync(pretty, ['--messageKey', 'message', '--ignore', 'data,seq', '--colorize', 'false'], {
      input: readFileSync(log.path),
      env: { ...process.env, TZ: 'UTC' },
      encoding: 'utf8',
    })
    expect(text.split('\n')).toEqual([
      '[14:23:45.000] INFO: lead 23 done',
      '    agent_id: "lg-7a3f9c2d"',
      '    type: "agent.output"',
      '[14:23:45.000] WARN: a warning',
      '    agent_id: "a-1"',
      '',
    ])
  })

  test('OK and CRIT are INFO and ERROR in the file', async () => {
    const log = open()
    log.event({ ...output('a'), level: 'OK' })
    log.event({ ...output('b'), level: 'CRIT' })
    await log.close()
    expect(lines('2026-11-21').map(({ level }) => level)).toEqual(['INFO', 'ERROR'])
  })

  test('lines below the level are left out', async () => {
    const log = open({ level: 'warn' })
    log.event(output('not this'))
    log.logger.info('nor this')
    log.logger.warn('this')
    await log.close()
    expect(lines('2026-11-21').map(({ message }) => message)).toEqual(['this'])
  })

  test('messages, facts and errors with their causes go through the redactor', async () => {
    const log = open()
    const cause = new Error('ceo@acme.com refused')
    const error = new Error('failed', { cause })
    log.logger.error({ agent_id: 'a-1', to: ['ceo@acme.com'], error }, 'mail to ceo@acme.com')
    await log.close()
    expect(readFileSync(log.path, 'utf8')).not.toContain('ceo@acme.com')
    expect(lines('2026-11-21')[0]).toMatchObject({
      agent_id: 'a-1',
      message: 'mail to [EMAIL_REDACTED]',
      to: ['[EMAIL_REDACTED]'],
      error: expect.stringMatching(/^Error: failed\n[\s\S]*caused by Error: \[EMAIL_REDACTED\] refused/),
    })
  })

  test('the log file is for its owner only', async () => {
    const log = open()
    await log.close()
    expect(statSync(dir()).mode & 0o777).toBe(0o700)
    expect(statSync(log.path).mode & 0o777).toBe(0o600)
  })

  test('a new day is a new file, and no line is lost on the way', async () => {
    const log = open()
    log.logger.info('before midnight')
    await written(log.path, 'before midnight')
    now += 10 * 3_600_000
    log.logger.info('after midnight')
    await log.close()
    expect(lines('2026-11-21').map(({ message }) => message)).toEqual(['before midnight'])
    expect(lines('2026-11-22').map(({ message }) => message)).toEqual(['after midnight'])
    expect(log.path).toBe(join(dir(), 'iron-cage-2026-11-22.log'))
  })

  test('a full file goes on in another, all of it is kept for a while, and the oldest go', async () => {
    const log = open({ maxFileBytes: 1_000 })
    const line = (number: number) => `line ${number} ${'x'.repeat(900)}`
    for (let number = 1; number <= 27; number++) {
      log.logger.info(line(number))
      await written(log.path, `line ${number} `)
    }
    await log.close()
    // Two lines fill a file; ten full ones are kept.
    const kept = (name: string) => lines(`2026-11-21${name}`).map(({ message }) => message.split(' ')[1])
    expect(kept('')).toEqual(['27'])
    expect(readdirSync(dir())).toHaveLength(11)
    expect(kept('.13')).toEqual(['25', '26'])
    expect(readdirSync(dir())).not.toContain('iron-cage-2026-11-21.3.log')
    const again = open({ maxFileBytes: 1 })
    again.logger.info('after a restart')
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

  test('a folder that cannot be created is reported with its setting', () => {
    writeFileSync(join(folder, 'logs'), 'a file')
    expect(() => open()).toThrow(expect.objectContaining({ code: 'invalid_config', facts: { 'log.dir': dir() } }))
  })
})

async function written(path: string, text: string): Promise<void> {
  await expect.poll(() => readFileSync(path, 'utf8'), { timeout: 60_000 }).toContain(text)
}
