import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { subcommandsIn } from '../../scripts/docs.ts'
import { runCli } from '../../src/cli/cli.ts'
import { processTerminal } from '../../src/cli/output/terminal.ts'
import { ERRORS } from '../../src/core/errors.ts'
import { openPlace, type RunOptions } from './support.ts'

interface Row extends RunOptions {
  /** The words after iron-cage. */
  run: string[]
  code: number
  out?: string
  err?: string
  files?: Record<string, string>
}

const text = (...lines: string[]) => `${lines.join('\n')}\n`

const usage: Record<string, Row> = {
  'no command at all': {
    run: [],
    code: 0,
    out: text(
      `Iron Cage ${packageJson.version}: a hard budget, no personal data and one screen for your AI agent.`,
      '',
      '  iron-cage demo                          watch an agent work through 100 leads; no key, no network',
      '  iron-cage start agent.py --budget 5     run your own agent, which cannot spend more than $5',
      '  iron-cage doctor                        is this machine ready, and what would not be guarded',
      '',
      'iron-cage --help lists every command.',
    ),
    err: '',
  },
  'a flag but no command': {
    run: ['--port', '1'],
    code: 2,
    err: text('iron-cage: name a command', '  hint: "iron-cage --help" lists its arguments and flags'),
  },
  'a misspelt command gets a suggestion': {
    run: ['strat', 'agent.py'],
    code: 2,
    err: text(
      'iron-cage: no such command; did you mean start?',
      '  hint: "iron-cage --help" lists its arguments and flags',
    ),
  },
  'a command that is nothing we know': {
    run: ['frobnicate'],
    code: 2,
    err: text('iron-cage: unknown argument: frobnicate', '  hint: "iron-cage --help" lists its arguments and flags'),
  },
  'a misspelt second word gets a suggestion': {
    run: ['config', 'shwo'],
    code: 2,
    err: text(
      'iron-cage: no such command; did you mean show?',
      '  hint: "iron-cage config --help" lists its arguments and flags',
    ),
  },
  'an unknown flag': {
    run: ['ps', '--colour'],
    code: 2,
    err: text('iron-cage: unknown argument: colour', '  hint: "iron-cage ps --help" lists its arguments and flags'),
  },
  'a misspelt flag': {
    run: ['start', 'agent.py', '--buget', '5'],
    code: 2,
    err: text('iron-cage: unknown argument: buget', "  hint: put the agent's own arguments after --"),
  },
  'a misspelt flag with its value, of a command below another': {
    run: ['budget', 'get', 'lg-7a3f9c2d', '--jsno'],
    code: 2,
    err: text(
      'iron-cage: unknown argument: jsno',
      '  hint: "iron-cage budget get --help" lists its arguments and flags',
    ),
  },
  'a misspelt negative flag': {
    run: ['config', 'check', '--no-restrat'],
    code: 2,
    err: text(
      'iron-cage: unknown argument: restrat',
      '  hint: "iron-cage config check --help" lists its arguments and flags',
    ),
  },
  'a flag of two words': {
    run: ['config', 'check', '--safty-mode', 'block'],
    code: 2,
    err: text(
      'iron-cage: unknown arguments: safty-mode, saftyMode',
      '  hint: "iron-cage config check --help" lists its arguments and flags',
    ),
  },
  'a flag with one dash': {
    run: ['config', 'check', '-budget', '5'],
    code: 2,
    err: text('iron-cage: unknown arguments: b, u, d, g, e, t', '  hint: type the flag with two dashes: --budget'),
  },
  'a word too many': {
    run: ['stop', 'lg-7a3f9c2d', 'at once'],
    code: 2,
    err: text('iron-cage: unknown argument: at once', '  hint: "iron-cage stop --help" lists its arguments and flags'),
  },
  'a flag of the agent without --': {
    run: ['start', 'agent.py', '--leads', 'leads.csv'],
    code: 2,
    err: text('iron-cage: unknown argument: leads', "  hint: put the agent's own arguments after --"),
  },
  'a device cannot be trusted, for it may have no end': {
    run: ['config', 'trust', '/dev/zero'],
    code: 2,
    err: text('iron-cage: /dev/zero is no file', '  hint: name the configuration file to accept'),
  },
  'start without a script': {
    run: ['start'],
    code: 2,
    err: text(
      'iron-cage: missing arguments: got 0, need at least 1',
      '  hint: "iron-cage start --help" lists its arguments and flags',
    ),
  },
  'a flag without its value': {
    run: ['start', 'agent.py', '--budget'],
    code: 2,
    err: text('iron-cage: --budget needs a value', '  hint: "iron-cage start --help" lists its arguments and flags'),
  },
  'an incident to reveal, but not which': {
    run: ['incidents', '--reveal'],
    code: 2,
    err: text(
      'iron-cage: --reveal needs the id of an incident',
      '  hint: "iron-cage incidents" lists them; then "iron-cage incidents --reveal pii-0a1b2c3d4e5f"',
    ),
  },
  'a flag that came twice': {
    run: ['config', 'check', '--budget', '5', '--budget', '50'],
    code: 2,
    err: text('iron-cage: --budget was given more than once', '  hint: run the command with --help'),
  },
  'a flag that is followed by another instead of its value': {
    run: ['config', 'check', '--db', '--json'],
    code: 2,
    err: text('iron-cage: --db needs a value', '  hint: "iron-cage config check --help" lists its arguments and flags'),
  },
  'a group of commands alone': {
    run: ['audit'],
    code: 2,
    err: text(
      'iron-cage: audit needs one of: verify, export',
      '  hint: "iron-cage audit --help" lists its arguments and flags',
    ),
  },
  'the version': { run: ['version'], code: 0, out: `iron-cage ${packageJson.version}\n`, err: '' },
  'the version for a program': {
    run: ['version', '--json'],
    code: 0,
    out: `${JSON.stringify({ version: packageJson.version, node: process.versions.node, platform: `${process.platform}-${process.arch}`, single_executable: false }, null, 2)}\n`,
    err: '',
  },
  'the version as a flag': { run: ['--version'], code: 0, out: `${packageJson.version}\n`, err: '' },
}

const budgets: Record<string, Row> = {
  'an unquoted $50': {
    run: ['start', 'agent.py', '--budget', '0'],
    code: 2,
    err: text(
      'iron-cage: --budget arrived as "0"; a shell turns an unquoted $50 into that',
      "  hint: write 50, or '$50' in single quotes; to allow no paid calls, set limit_usd: 0 in the configuration file",
    ),
  },
  'an empty budget': {
    run: ['start', 'agent.py', '--budget', ''],
    code: 2,
    err: text(
      'iron-cage: --budget arrived as ""; a shell turns an unquoted $50 into that',
      "  hint: write 50, or '$50' in single quotes; to allow no paid calls, set limit_usd: 0 in the configuration file",
    ),
  },
  'a negative budget': {
    run: ['start', 'agent.py', '--budget', '-1'],
    code: 2,
    err: text(
      'iron-cage: --budget: "-1" is not an amount of US dollars',
      "  hint: write dollars as 50, 50.00 or '$50' (quote the $ in a shell)",
    ),
  },
  'digits of another script': {
    run: ['budget', 'set', 'lg-7a3f9c2d', '٥٠'],
    code: 2,
    err: text(
      'iron-cage: the new limit: "٥٠" is not an amount of US dollars',
      "  hint: write dollars as 50, 50.00 or '$50' (quote the $ in a shell)",
    ),
  },
  'a variable with an exponent': {
    run: ['config', 'check'],
    env: { IRON_CAGE_BUDGET: '5e1' },
    code: 2,
    err: text(
      'iron-cage: IRON_CAGE_BUDGET: "5e1" is not an amount of US dollars',
      "  hint: write dollars as 50, 50.00 or '$50' (quote the $ in a shell)",
    ),
  },
}

const configurations: Record<string, Row> = {
  'a file to begin with': {
    run: ['config', 'init'],
    code: 0,
    out: 'wrote iron-cage.yaml; "iron-cage config show" shows what applies now\n',
    err: '',
  },
  'no file over one that is there': {
    run: ['config', 'init'],
    files: { 'iron-cage.toml': '' },
    code: 6,
    out: '',
    err: text(
      'iron-cage: iron-cage.toml exists already and was not changed',
      '  hint: see it with "iron-cage config show", or move it away',
    ),
  },
  'a right file': {
    run: ['config', 'check', '--config', 'c.toml'],
    files: { 'c.toml': '[budget]\nlimit_usd = 5\n' },
    code: 0,
    out: expect.stringMatching(/^ok: .*c\.toml\n$/),
    err: '',
  },
  'no file': { run: ['config', 'check'], code: 0, out: 'ok: no file, defaults only\n', err: '' },
  'a broken file': {
    run: ['config', 'check'],
    files: { 'iron-cage.yaml': 'bugdet: {}\nserver:\n  port: many\n' },
    code: 2,
    out: '',
    err: text(
      'iron-cage: the configuration has 2 problems',
      '  iron-cage.yaml:1:1: bugdet: unknown key; did you mean budget?',
      '  iron-cage.yaml:3:3: server.port: expected a whole number from 0 to 65535, got "many"',
      '  hint: correct the value; "iron-cage config show" shows where each one comes from',
    ),
  },
  'a broken file for a program': {
    run: ['config', 'check', '--json'],
    files: { 'iron-cage.yaml': 'bugdet: {}\n' },
    code: 2,
    out: `${JSON.stringify({ ok: false, problems: [{ place: 'iron-cage.yaml:1:1', key: 'bugdet', what: 'unknown key; did you mean budget?' }] }, null, 2)}\n`,
  },
  'a broken file stops start before anything runs': {
    run: ['start', 'agent.py'],
    files: { 'iron-cage.yaml': 'safety: { mode: off }\n' },
    code: 2,
    err: text(
      'iron-cage: the configuration is wrong',
      '  iron-cage.yaml:1:11: safety.mode: expected one of redact, block, warn, got "off"',
      '  hint: correct the value; "iron-cage config show" shows where each one comes from',
    ),
  },
  'every value with its origin': {
    run: ['config', 'show', '--port', '81', '--no-restart', '--verbose'],
    files: { 'iron-cage.yaml': 'budget:\n  limit_usd: 7.5\n' },
    env: { IRON_CAGE_SAFETY_MODE: 'block' },
    code: 0,
    out: expect.stringMatching(
      new RegExp(
        [
          'agent\\.environment +development +\\(default\\)[^]*',
          'agent\\.restart\\.enabled +false +\\(--no-restart\\)[^]*',
          'budget\\.limit_usd +7\\.5 +\\(iron-cage\\.yaml:2\\)[^]*',
          'safety\\.mode +block +\\(IRON_CAGE_SAFETY_MODE\\)[^]*',
          'server\\.port +81 +\\(--port\\)[^]*',
          'log\\.level +debug +\\(--verbose\\)[^]*',
        ].join(''),
      ),
    ),
  },
}

const scans: Record<string, Row> = {
  'an e-mail address': {
    run: ['scan', '--text', 'Contact ceo@acme.com'],
    code: 1,
    out: 'EMAIL  HIGH  text:1:9  12 characters\n',
    err: '1 found\n',
  },
  nothing: { run: ['scan', '--text', 'Contact us'], code: 0, out: '', err: 'nothing found\n' },
  'what never ends': {
    run: ['scan', '/dev/zero'],
    code: 2,
    err: text('iron-cage: /dev/zero has more than 64 MiB at once', '  hint: cut it into smaller pieces'),
  },
  'a line that never ends': {
    run: ['scan', '--jsonl', '/dev/zero'],
    code: 2,
    err: text('iron-cage: /dev/zero has more than 64 MiB at once', '  hint: give one JSON object a line'),
  },
  'files and lines': {
    run: ['scan', 'a.txt', '-'],
    files: { 'a.txt': 'first\nSSN 123-45-6789\n' },
    stdin: 'x\ny\n  ceo@acme.com',
    code: 1,
    out: text('SSN    HIGH  a.txt:2:5  11 characters', 'EMAIL  HIGH  stdin:3:3  12 characters'),
  },
  'a file whose name begins with a dash': {
    run: ['scan', '--', '-a.txt'],
    files: { '-a.txt': 'ceo@acme.com' },
    code: 1,
    out: 'EMAIL  HIGH  -a.txt:1:1  12 characters\n',
  },
  'for a program': {
    run: ['scan', '--json', '--text', '\u{1F600} ceo@acme.com'],
    code: 1,
    out: `${JSON.stringify({ findings: [{ source: 'text', type: 'email', start: 3, end: 15, risk: 'HIGH', line: 1, column: 4 }] }, null, 2)}\n`,
  },
  'records, one line each, with a line separator inside': {
    run: ['scan', '--jsonl'],
    stdin: '{"text":"a\u2028ceo@acme.com"}\n{"text":"nothing"}\n',
    code: 0,
    out: text('{"spans":[{"type":"EMAIL","start":2,"end":14}]}', '{"spans":[]}'),
    err: '',
  },
  'a record that is none': {
    run: ['scan', '--jsonl'],
    stdin: '{"text":"a"}\n{"txt":"ceo@acme.com"}\n',
    code: 2,
    out: '{"spans":[]}\n',
    err: text('iron-cage: stdin:2: expected a line such as {"text": "…"}', '  hint: correct that line'),
  },
  'a file that is not there': {
    run: ['scan', 'missing.txt'],
    code: 5,
    err: text('iron-cage: there is no file missing.txt', '  hint: check the path'),
  },
  'a folder': {
    run: ['scan', '.'],
    code: 2,
    err: text('iron-cage: . is a folder', '  hint: name the files in it'),
  },
}

const unreachable: Record<string, Row> = {
  'no server on this database': {
    run: ['ps'],
    code: 7,
    out: '',
    err: text(
      'iron-cage: no server is running for ./iron_state.db',
      '  hint: start one with "iron-cage serve", or set IRON_CAGE_URL',
    ),
  },
  'no server at this address': {
    run: ['stop', 'lg-7a3f9c2d'],
    env: { IRON_CAGE_URL: 'http://127.0.0.1:65533' },
    code: 7,
    err: text(
      'iron-cage: no server answers at http://127.0.0.1:65533 (ECONNREFUSED), tried 3 times',
      '  hint: start one there with "iron-cage serve" or "iron-cage panel", or change IRON_CAGE_URL',
    ),
  },
  'books of a panel that are not there': {
    run: ['panel', 'doctor', '--database', 'typo.db'],
    code: 5,
    out: '',
    err: text(
      'iron-cage: there is no database typo.db',
      '  hint: name it with --database; "iron-cage panel" creates one',
    ),
  },
  'a misspelt address of a database': {
    run: ['panel', '--database', 'postgres:/panel@localhost/panel'],
    code: 8,
    out: '',
    err: text(
      'iron-cage: postgres:/panel@localhost/panel is no database that a panel can use',
      '  hint: write postgres://user@host:5432/name, or the name of a file for SQLite',
    ),
  },
  'nothing spent of a lease': {
    run: ['runtimes', 'resolve', 'lease-1', '--spent', '0', '--reason', 'x'],
    code: 2,
    err: text(
      'iron-cage: --spent arrived as "0"; a shell turns an unquoted $50 into that',
      "  hint: write 50, or '$50' in single quotes; for nothing write 0.00",
    ),
  },
  'an address that is none': {
    run: ['status'],
    env: { IRON_CAGE_URL: 'localhost:8080' },
    code: 2,
    err: text(
      'iron-cage: IRON_CAGE_URL: expected an http or https address, got "localhost:8080"',
      '  hint: write it as http://127.0.0.1:8080',
    ),
  },
}

/** Whose rows are processes: every stream and most exit codes are among them. */
const PROCESSES = { scans, unreachable }

for (const [topic, rows] of Object.entries({ usage, budgets, configurations, ...PROCESSES })) {
  describe(topic, () => {
    test.each(Object.entries(rows))('%s', async (_, { run, code, out, err, files = {}, ...options }) => {
      const place = openPlace()
      for (const [name, content] of Object.entries(files)) place.write(name, content)
      const ended = await (topic in PROCESSES ? place.run(run, options) : place.type(run, options))
      expect(ended).toMatchObject({ code, ...(out !== undefined && { out }), ...(err !== undefined && { err }) })
    })
  })
}

describe('help', () => {
  async function helpOf(...words: string[]): Promise<string> {
    const lines: string[] = []
    expect(await runCli([...words, '--help'], {}, { ...processTerminal(), out: (line) => void lines.push(line) })).toBe(
      0,
    )
    return lines.join('\n')
  }
  test('the help lists every command, and each has a page with an example', async () => {
    const commands = subcommandsIn(await helpOf(), [])
    expect(commands.length).toBeGreaterThan(25)
    const without: string[] = []
    for (const command of commands) {
      const below = subcommandsIn(await helpOf(command), [command])
      // Of a group of commands at least one shows how it is typed.
      const pages: string[] = []
      for (const name of below) pages.push(await helpOf(command, name))
      if (below.length === 0) pages.push(await helpOf(command))
      if (!pages.some((page) => page.includes(`  iron-cage ${command}`))) without.push(command)
    }
    expect(without).toEqual([])
  })

  test('"help start" is "start --help"', async () => {
    const place = openPlace()
    const [help, flag] = await Promise.all([place.type(['help', 'start']), place.type(['start', '--help'])])
    expect(help).toMatchObject({ code: 0, out: flag.out })
  })

  test('exit-codes has the code of every error', async () => {
    const { code, out } = await openPlace().type(['help', 'exit-codes'])
    expect(code).toBe(0)
    for (const [name, { exit }] of Object.entries(ERRORS)) {
      expect(out).toMatch(new RegExp(`^${exit} .*\\b${name}\\b`, 'm'))
    }
    expect(out).toContain("other  start: the agent's own code")
  })

  test('the help of a command has its flags and examples', async () => {
    const { code, out } = await openPlace().type(['start', '--help'])
    expect(code).toBe(0)
    const flags =
      'budget verbose safety-mode config port host db env name python keep open restart log-format provider-keys'
    for (const flag of flags.split(' ')) expect(out).toContain(`--${flag}`)
    expect(out).toContain('iron-cage start agent.py --budget 50')
  })
})

describe('completion', () => {
  test.each(['bash', 'zsh', 'fish'])(
    'the script for %s asks the program in a form that this shell reads',
    async (shell) => {
      const place = openPlace()
      const { code, out } = await place.run(['completion', shell])
      expect(code).toBe(0)
      expect(out).toContain(`iron-cage complete ${shell} `)
      if (shell !== 'bash') return
      // As bash itself completes it.
      place.write(
        'complete.bash',
        `${out}\niron-cage() { "$NODE" "$BIN" "$@"; }\nCOMP_WORDS=(iron-cage bud); COMP_CWORD=1; _iron_cage; echo "\${COMPREPLY[*]}"\n`,
      )
      const env = { ...process.env, NODE: process.execPath, BIN: resolve('bin/iron-cage.cjs') }
      expect(execFileSync('bash', ['complete.bash'], { cwd: place.folder, env, encoding: 'utf8' })).toBe('budget\n')
    },
  )

  test.each([
    ['a command', ['iron-cage', 'bu'], 'budget'],
    ['a second word', ['iron-cage', 'config', ''], 'init'],
    ['a flag', ['iron-cage', 'start', '--b'], '--budget'],
    ['a word out of a few', ['iron-cage', 'completion', ''], 'zsh'],
    ['the value of a setting', ['iron-cage', 'start', '--safety-mode', ''], 'block'],
    ['the value of a flag', ['iron-cage', 'tokens', 'create', '--name', 'ci', '--role', 'v'], 'viewer'],
    ['a circuit', ['iron-cage', 'circuits', 'reset', ''], 'anthropic'],
  ])('%s is completed', async (_what, words, expected) => {
    const { out } = await openPlace().type(['complete', 'bash', ...words])
    expect(out.split('\n')).toContain(expected)
  })

  test('ids of agents and names of secrets are completed from the database, also while no server runs', async () => {
    const place = openPlace()
    place.write('hello.py', 'print("hello")\n')
    const env = { IRON_CAGE_MASTER_KEY: 'q8Zt3LxV9bNw2RfK7mYc5JhD1sGp4XaE6uTo0WiQrUe' }
    expect(await place.run(['start', 'hello.py', '--port', '0', '--db', 'own.db'])).toMatchObject({ code: 0 })
    expect(await place.run(['secrets', 'set', 'CRM_KEY', '--db', 'own.db'], { env, stdin: 'x1' })).toMatchObject({
      code: 0,
    })
    const complete = async (...words: string[]) => (await place.type(['complete', 'fish', 'iron-cage', ...words])).out
    expect(await complete('logs', '--db', 'own.db', '')).toMatch(/^h-[0-9a-f]{8}\thello$/m)
    expect(await complete('audit', 'export', '--db', 'own.db', '')).not.toContain('hello')
    expect(await complete('secrets', 'get', '--db', 'own.db', '')).toMatch(/^CRM_KEY\t$/m)
    expect(await complete('logs', '')).not.toContain('hello')
  })

  test('zsh and fish get a description beside each word', async () => {
    const place = openPlace()
    const complete = (shell: string) =>
      place.run(['complete', shell, 'iron-cage', 'audit', ''], { env: { SHELL: `/bin/${shell}` } })
    expect((await complete('zsh')).out).toMatch(/^verify:Check that /)
    expect((await complete('fish')).out).toMatch(/^verify\tCheck that /)
  })
})

describe('a backup', () => {
  test('a backup is created and restored, and each command prints its result', async () => {
    const place = openPlace()
    place.write('hello.py', 'print("hello")\n')
    expect(await place.run(['start', 'hello.py', '--port', '0'])).toMatchObject({ code: 0 })
    const made = await place.type(['backup', 'copy.db'])
    expect(made).toMatchObject({ code: 0, err: '' })
    expect(made.out).toMatch(/^\S+copy\.db: \d+ bytes, verified; \d+ audit rows, unchanged\nwith it: /)
    expect(made.out).toContain('not in it: the master key, the configuration file, the logs')
    expect(await place.type(['backup', 'copy.db'])).toMatchObject({ code: 6, out: '' })
    const back = await place.type(['restore', 'copy.db'])
    expect(back).toMatchObject({ code: 0, err: '' })
    expect(back.out).toMatch(/kept: \S+iron_state\.db\.replaced-/)
    expect(await place.type(['audit', 'verify'])).toMatchObject({ code: 0 })
    expect(await place.type(['restore', 'nothing.db'])).toMatchObject({ code: 5, out: '' })
  })
})
