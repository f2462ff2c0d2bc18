import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { runCli } from '../../src/cli/cli.ts'
import type { CheckResult } from '../../src/cli/commands/doctor/check.ts'
import { isAtLeast } from '../../src/cli/commands/doctor/check.ts'
import { readEnvironment } from '../../src/config/env.ts'
import { configSchema } from '../../src/config/schema.ts'
import { openParts } from '../support/built.ts'

interface Answer {
  code: number
  out: string[]
  checks: Record<string, CheckResult>
}

const KEY = 'fHq3vN8sKd2LwX7cR5tYb9MzJ1pGe6UaQo4iVxW0nBs'

class Patient {
  readonly folder = mkdtempSync(join(tmpdir(), 'iron-cage-doctor-'))
  /** The port given with --port. */
  port = '0'
  readonly db = join(this.folder, 'iron_state.db')
  readonly config = configSchema.parse({
    db: { path: this.db },
    server: { port: 0 },
    log: { dir: join(this.folder, 'logs') },
  })

  constructor() {
    onTestFinished(() => rm(this.folder, { recursive: true, force: true }))
  }

  /** Makes the files that a server leaves behind. */
  async hasServed(masterKey?: string): Promise<void> {
    const options = { config: this.config, configFile: null, environment: {}, version: 'test' }
    const runtime = await openParts({ ...options, masterKey })
    await runtime.close('the test wants its files')
  }

  change(sql: string): void {
    const client = new Sqlite(this.db)
    client.exec(sql)
    client.close()
  }

  async see(variables: Record<string, string> = {}, ...args: string[]): Promise<Answer> {
    const out: string[] = []
    const env = readEnvironment({ PATH: process.env.PATH, HOME: this.folder, ...variables })
    const code = await runCli(
      ['doctor', '--db', this.db, '--port', this.port, ...args],
      {},
      {
        out: (line) => void out.push(line),
        err: (line) => void out.push(line),
        outDescriptor: 1,
        input: (async function* () {})(),
        inputIsTerminal: false,
        setRawInput: () => {},
        color: false,
        env,
        cwd: this.folder,
        exitCode: 0,
      },
    )
    return { code, out, checks: {} }
  }

  async examine(variables: Record<string, string> = {}, ...args: string[]): Promise<Answer> {
    const { code, out } = await this.see(variables, '--json', ...args)
    const { checks } = JSON.parse(out.join('\n')) as { checks: ({ name: string } & CheckResult)[] }
    return { code, out, checks: Object.fromEntries(checks.map(({ name, ...finding }) => [name, finding])) }
  }
}

const wrong = ({ checks }: Answer): string[] =>
  Object.entries(checks)
    .filter(([, { status }]) => status === 'fail')
    .map(([name]) => name)

describe('the doctor', () => {
  test('the doctor reports a new folder as ok in more than twenty checks', async () => {
    const patient = new Patient()
    const answer = await patient.see()
    expect(answer).toMatchObject({ code: 0 })
    expect(answer.out.filter((line) => /^[✔!] /.test(line)).length).toBeGreaterThan(20)
    expect(answer.out.at(-1)).toMatch(/^\d+ passed, \d+ warnings?, 0 failed$/)
  })

  test('the doctor accepts the files that a server left', async () => {
    const patient = new Patient()
    await patient.hasServed()
    const answer = await patient.examine()
    expect(wrong(answer)).toEqual([])
    expect(answer.checks.Audit!.what).toMatch(/rows, none changed/)
    expect(answer.code).toBe(0)
  })

  test('the doctor reports a running server as ok, and knows its ports', async () => {
    const patient = new Patient()
    const runtime = await openParts({ config: patient.config, configFile: null, environment: {}, version: 'test' })
    onTestFinished(() => runtime.close('the test is over'))
    patient.port = new URL(runtime.url).port
    const answer = await patient.examine()
    expect(wrong(answer)).toEqual([])
    expect(answer.checks.Server).toEqual({ status: 'ok', what: `running at ${runtime.url}` })
    expect(answer.checks['Port on [::1]']!.what).toContain("our own server's")
  })

  const damages: [name: string, check: string, what: RegExp, damage: (patient: Patient) => void][] = [
    [
      'a key that others can read',
      'File modes',
      /others can read .+audit-key/,
      ({ db }) => chmodSync(`${db}.audit-key`, 0o644),
    ],
    ['an audit without its head', 'Audit anchor', /audit-head is missing/, ({ db }) => rmSync(`${db}.audit-head`)],
    [
      'an audit that was changed',
      'Audit',
      /row 1 is not as it was written/,
      (patient) =>
        patient.change("DROP TRIGGER audit_is_never_updated; UPDATE audit SET actor = 'nobody' WHERE seq = 1"),
    ],
    ['a file that is no database', 'Database', /not a database/, ({ db }) => writeFileSync(db, 'x'.repeat(9_000))],
    [
      'an event of tomorrow',
      'Clock',
      /in the future/,
      (patient) => patient.change("UPDATE events SET at = '2999-01-01T00:00:00.000Z'"),
    ],
    [
      'a broken configuration',
      'Configuration',
      /budgte/,
      ({ folder }) => writeFileSync(join(folder, 'iron-cage.yaml'), 'budgte: {}\n'),
    ],
  ]
  test.each(damages)('the doctor finds %s, suggests a fix and exits 1', async (_name, check, what, damage) => {
    const patient = new Patient()
    await patient.hasServed()
    damage(patient)
    const answer = await patient.examine()
    expect(answer.checks[check]).toMatchObject({
      status: 'fail',
      what: expect.stringMatching(what),
      fix: expect.any(String),
    })
    expect(answer.code).toBe(1)
  })

  test('the doctor finds a port that another program has', async () => {
    const other = createServer()
    await new Promise<void>((listening) => other.listen(0, '127.0.0.1', listening))
    onTestFinished(() => void other.close())
    const { port } = other.address() as { port: number }
    const patient = new Patient()
    patient.port = String(port)
    expect(wrong(await patient.examine())).toEqual(['Port on 127.0.0.1'])
  })

  test('the doctor finds a Python that is not there, and then no SDK either', async () => {
    const patient = new Patient()
    writeFileSync(join(patient.folder, 'iron-cage.yaml'), 'agent: { python: /nowhere/python3 }\n')
    expect(wrong(await patient.examine())).toEqual(['Python', 'Python SDK'])
  })

  test('the doctor warns about ways around the cage, and still succeeds', async () => {
    const { checks, code } = await new Patient().examine({
      OPENAI_API_KEY: 'sk-something',
      HTTPS_PROXY: 'http://proxy:3128',
      OPENAI_BASE_URL: 'http://elsewhere/v1',
    })
    expect(checks['Own keys']).toMatchObject({ status: 'warn', what: expect.stringContaining('OPENAI_API_KEY') })
    expect(JSON.stringify(checks)).not.toContain('sk-something')
    expect(checks.Proxies!.what).toContain('https through proxy:3128')
    expect(checks['Base addresses']!.what).toBe('openai at http://elsewhere/v1 (OPENAI_BASE_URL)')
    expect(code).toBe(0)
  })

  test('the doctor reports a master key that is too weak without printing it', async () => {
    const { checks, out, code } = await new Patient().examine({ IRON_CAGE_MASTER_KEY: 'abcabcabcabcabcabc' })
    expect(checks['Master key']).toMatchObject({ status: 'fail', what: expect.stringContaining('too weak') })
    expect(out.join()).not.toContain('abcabc')
    expect(code).toBe(1)
  })

  test('the doctor reports whether the master key opens the vault, and which file is missing', async () => {
    const patient = new Patient()
    const look = async (variables: Record<string, string>) => (await patient.examine(variables)).checks['Master key']
    expect(await look({ IRON_CAGE_MASTER_KEY: KEY })).toEqual({ status: 'ok', what: 'strong enough' })
    await patient.hasServed(KEY)
    expect(await look({ IRON_CAGE_MASTER_KEY: KEY })).toEqual({ status: 'ok', what: 'opens the vault' })
    expect(await look({ IRON_CAGE_MASTER_KEY: [...KEY].reverse().join('') })).toEqual({
      status: 'fail',
      what: 'the master key is not the one that this vault was sealed with',
      fix: expect.stringMatching(/^start with the right key/),
    })
    expect(await look({})).toEqual({ status: 'ok', what: 'none, and no secrets either' })
    patient.change(
      "INSERT INTO secrets (id, name, environment, version, masked, parameters, salt, nonce, ciphertext, created_at, updated_at) VALUES ('s', 'OPENAI_API_KEY', 'development', 1, '', '', x'', x'', x'', '', '')",
    )
    expect(await look({})).toEqual({
      status: 'warn',
      what: 'none here, so 1 secret stays locked',
      fix: 'set IRON_CAGE_MASTER_KEY_FILE to the key that sealed this vault, then start again',
    })
    const missing = join(patient.folder, 'mastr.key')
    expect(await look({ IRON_CAGE_MASTER_KEY_FILE: missing })).toEqual({
      status: 'fail',
      what: 'the master key cannot be read',
      fix: `correct IRON_CAGE_MASTER_KEY_FILE (there is no file ${missing}) and start again`,
    })
  })

  test('the doctor asks providers only with --online', async () => {
    const patient = new Patient()
    const text =
      'providers: { openai: { base_url: http://127.0.0.1:1/v1 }, anthropic: { base_url: http://127.0.0.1:1 } }'
    writeFileSync(join(patient.folder, 'iron-cage.yaml'), `${text}\n`)
    expect((await patient.examine()).checks.Providers).toEqual({ status: 'ok', what: 'not checked; use --online' })
    const online = await patient.examine({}, '--online')
    expect(online.checks.Providers!.what).toContain('openai at 127.0.0.1:1 (')
    expect(wrong(online)).toEqual(['Providers'])
  })

  test('the doctor knows calls that a killed server left open', async () => {
    const patient = new Patient()
    await patient.hasServed()
    expect((await patient.examine()).checks['Open holds']).toEqual({ status: 'ok', what: 'none' })
    patient.change(
      "INSERT INTO calls (agent_id, id, kind, target, state, held_nanos, started_at) VALUES ('lg-1', 'c1', 'llm', 'openai', 'unresolved', 5, '2026-01-01')",
    )
    expect((await patient.examine()).checks['Open holds']).toMatchObject({
      status: 'warn',
      what: '1 calls that a killed server left open hold money',
    })
  })
})

test.each([
  ['24.21.0', '22.19', true],
  ['22.19.0', '22.19', true],
  ['22.9.1', '22.19', false],
  ['3.51.3', '3.51.3', true],
  ['3.9', '3.10', false],
])('%s is at least %s: %s', (version, least, expected) => {
  expect(isAtLeast(version, least)).toBe(expected)
})

test.runIf(process.platform === 'linux')(
  'a home that cannot record where agents may write is found before they are refused',
  async () => {
    const patient = new Patient()
    writeFileSync(join(patient.folder, '.iron'), 'a file in the place of the folder')
    const { checks } = await patient.examine()
    expect(checks.Walls).toMatchObject({
      status: 'warn',
      what: expect.stringMatching(/cannot be recorded \(ENOTDIR/),
      fix: 'set HOME to a folder that can be written',
    })
    expect((await patient.examine({ IRON_CAGE_SANDBOX: 'strict' })).checks.Walls!.status).toBe('fail')
  },
)
