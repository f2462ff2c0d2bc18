import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { answer, FakeProvider, type Saying } from './support/provider.ts'

/** `iron-cage start` as a user types it, around agents with the real clients, against a provider that remembers. */

const root = resolve(import.meta.dirname, '..')
const CANARY = 'jane.canary@northwind-traders.com'
let provider: FakeProvider

beforeAll(async () => {
  provider = await FakeProvider.open()
})
afterAll(() => provider.close())

interface Ended {
  exitCode: number
  stdout: string
  stderr: string
  /** Of the database, after the end. */
  query<Row>(sql: string): Row[]
  /** Everything that was written anywhere: terminal, log, database. */
  everything: string
}

/** Runs an agent of test/road with the real clients' Python; `flags` go to `start`. */
async function start(script: string, flags: string[] = [], config = ''): Promise<Ended> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-road-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  writeFileSync(
    join(folder, 'iron-cage.yaml'),
    `providers: { openai: { base_url: "${provider.url}/v1" }, anthropic: { base_url: "${provider.url}" } }\n${config}`,
  )
  const args = [join(root, 'bin/iron-cage.cjs'), 'start', join(root, 'test/road', script), '--port', '0', ...flags]
  const env = {
    PATH: process.env.PATH!,
    HOME: folder,
    VIRTUAL_ENV: join(root, '.venv-test'),
    OPENAI_API_KEY: 'sk-of-the-user',
    ANTHROPIC_API_KEY: 'sk-ant-of-the-user',
  }
  const ended = await new Promise<Pick<Ended, 'exitCode' | 'stdout' | 'stderr'>>((done) => {
    execFile(process.execPath, args, { cwd: folder, env }, (error, stdout, stderr) =>
      done({ exitCode: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8', withFileTypes: true }).filter((file) =>
    file.isFile(),
  )
  const contents = files.map((file) => readFileSync(join(file.parentPath, file.name), 'latin1'))
  return {
    ...ended,
    query: (sql) => {
      using database = disposable(new Sqlite(join(folder, 'iron_state.db'), { readonly: true }))
      return database.prepare(sql).all() as never[]
    },
    everything: [ended.stdout, ended.stderr, ...contents].join('\n'),
  }
}

const disposable = (database: Sqlite.Database) =>
  Object.assign(database, { [Symbol.dispose]: () => void database.close() })

/** An answer with an address in it, cut where it hurts. */
const leaking: Saying = { text: ['Ask jane.ca', 'nary@northwind', '-traders.com for help.'] }

describe('an unmodified agent in the cage', () => {
  test('an unmodified agent with the openai package is answered, redacted, priced and recorded, whole and streamed', async () => {
    provider.does(answer(leaking))
    const before = provider.requests.length
    const ended = await start('openai_agent.py', ['--budget', '5'])

    expect(ended.stdout).toContain('whole: Ask [EMAIL_REDACTED] for help.')
    expect(ended.stdout).toContain('streamed: Ask [EMAIL_REDACTED] for help.')
    expect(ended.stdout).toContain('usage: [15]')
    expect(ended.exitCode).toBe(0)
    expect(ended.everything).not.toContain(CANARY)

    const requests = provider.requests.slice(before)
    expect(requests).toHaveLength(3)
    for (const { headers } of requests) expect(headers.authorization).toBe('Bearer sk-of-the-user')
    // 10 tokens in at $0.15 and 5 out at $0.60 per million.
    const calls = ended.query<{ state: string; cost_nanos: number }>('SELECT state, cost_nanos FROM calls')
    expect(calls).toEqual(Array(3).fill({ state: 'charged', cost_nanos: 4_500 }))
    expect(ended.query('SELECT type, action, place FROM pii_incidents')).toEqual(
      Array(3).fill({ type: 'email', action: 'redact', place: 'reply' }),
    )
    expect(ended.query('SELECT count(*) AS runs FROM runs WHERE exit_code = 0')).toEqual([{ runs: 1 }])
  })

  test('an unmodified agent with the anthropic package is answered, redacted, priced and recorded, whole and streamed', async () => {
    provider.does(answer(leaking))
    const before = provider.requests.length
    const ended = await start('anthropic_agent.py', ['--budget', '5'])

    expect(ended.stdout).toContain('whole: Ask [EMAIL_REDACTED] for help.')
    expect(ended.stdout).toContain('streamed: Ask [EMAIL_REDACTED] for help.')
    expect(ended.exitCode).toBe(0)
    expect(ended.everything).not.toContain(CANARY)
    // The key reaches the provider the way its client sends it.
    for (const { headers } of provider.requests.slice(before)) {
      expect([headers['x-api-key'], headers.authorization]).toContainEqual(
        expect.stringMatching(/^(Bearer )?sk-ant-of-the-user$/),
      )
    }
    // 10 tokens in at $3 and 5 out at $15 per million.
    expect(ended.query('SELECT cost_nanos FROM calls')).toEqual(Array(2).fill({ cost_nanos: 105_000 }))
  })

  test('an unmodified agent with LangChain is answered, redacted and priced, whole and streamed', async () => {
    provider.does(answer(leaking))
    const ended = await start('langchain_agent.py', ['--budget', '5'])

    expect(ended.stdout).toContain('whole: Ask [EMAIL_REDACTED] for help.')
    expect(ended.stdout).toContain('streamed: Ask [EMAIL_REDACTED] for help.')
    expect(ended.exitCode).toBe(0)
    expect(ended.query('SELECT cost_nanos FROM calls')).toEqual(Array(2).fill({ cost_nanos: 4_500 }))
  })
})

describe('a budget', () => {
  test('a budget stops the agent that spends it, start exits 3, and not a nanodollar more is spent', async () => {
    // $0.0003 and $0.06 a call: the third fits no more.
    provider.does(answer({ usage: { prompt_tokens: 10, completion_tokens: 1000, total_tokens: 1010 } }))
    const before = provider.requests.length
    const ended = await start('spender.py', ['--budget', '0.13'])

    expect(ended.exitCode).toBe(3)
    expect(ended.stdout.match(/ answered$/gm)).toHaveLength(2)
    // The refused call reaches no provider, and its client does not try again by itself.
    expect(provider.requests.length - before).toBe(2)
    expect(ended.query('SELECT sum(cost_nanos) AS nanos FROM calls')).toEqual([{ nanos: 120_600_000 }])
    expect(ended.query("SELECT count(*) AS times FROM events WHERE type = 'budget.warned'")).toEqual([{ times: 1 }])
    expect(ended.stdout).toContain('Budget cannot pay a call of up to')
  })
})

describe('safety mode', () => {
  test('safety mode block answers 422, charges the call and stops the agent', async () => {
    provider.does(answer(leaking))
    const ended = await start('spender.py', ['--budget', '5', '--safety-mode', 'block'])

    expect(ended.exitCode).not.toBe(0)
    expect(ended.everything).not.toContain(CANARY)
    expect(ended.query('SELECT DISTINCT action FROM pii_incidents')).toEqual([{ action: 'block' }])
    expect(ended.query<{ nanos: number }>('SELECT sum(cost_nanos) AS nanos FROM calls')[0]!.nanos).toBeGreaterThan(0)
    expect(ended.query("SELECT DISTINCT data ->> 'state' AS state FROM events WHERE type = 'agent.exited'")).toEqual([
      { state: 'blocked' },
    ])
  })

  test('safety mode warn leaves the reply to the agent, and still nothing of it is written or shown', async () => {
    provider.does(answer(leaking))
    const ended = await start('langchain_agent.py', ['--safety-mode', 'warn'])

    expect(ended.stdout).toContain('whole: Ask [EMAIL_REDACTED] for help.')
    expect(ended.everything).not.toContain(CANARY)
    expect(ended.query('SELECT DISTINCT action, place FROM pii_incidents ORDER BY place')).toEqual([
      { action: 'redact', place: 'output' },
      { action: 'warn', place: 'reply' },
    ])
  })
})
