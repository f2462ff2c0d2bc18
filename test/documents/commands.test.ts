/** Every command line that a document quotes: run where that takes a moment, else compared with the program's help. */
import { spawnSync } from 'node:child_process'
import {
  accessSync,
  constants,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { helpOf, subcommandsIn } from '../../scripts/docs.ts'
import { runCli } from '../../src/cli/cli.ts'
import { processTerminal } from '../../src/cli/output/terminal.ts'
import { readEnvironment } from '../../src/config/env.ts'
import { Run } from '../cli/support.ts'
import { quotedCommands, root } from './documents.ts'

/**
 * They last until they are stopped, start agents, ask a model, read from the internet, or need a Control Panel
 * (production.test.ts has one); only their flags are compared here.
 */
const LASTING =
  /^(start|run|serve|open|demo|login|logs .+ -f|prices update|deploy (up|logs|call|down)|deploy plan .+ --selector agent|panel|join|leave|runtimes|requests|teams|policy|erase|users add .+ --email|users email|secrets \w+ (\w+ )?--org|budget \w+ --(org|team|user|agent|token))\b/

/** Commands that cannot succeed beside the others of this test, and their exit codes. */
const REFUSED: readonly (readonly [command: RegExp, exit: number, why: string])[] = [
  [/^(restore|secrets change-master-key)\b/, 6, 'a server runs'],
  [/^(keygen|config init|users add|backup)\b/, 6, 'it is there already'],
  [/^(pause|resume|stop|restart)\b/, 6, 'the agent is in another state'],
  [
    /^(circuits|models trust|incidents --reveal|budget (correct|charge|release)|calls show|alerts resend)\b/,
    5,
    'there is none',
  ],
  [/^tokens/, 5, 'it was revoked by another line'],
  [/^report --db/, 5, 'the demo was not played'],
  [/^(scan|doctor)\b/, 1, 'there are findings'],
  [/^config check --config/, 2, 'no such file'],
]

const MASTER_KEY = 'q7m1Zr0WkGk2nX4t8vB3yD6fH9jL5pS0'
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-documents-'))
const webhook = createServer((request, response) => request.resume().on('end', () => response.end()))
const running: Run[] = []
const WAIT = { timeout: 60_000 }
const ids: Record<string, string> = {}

beforeAll(async () => {
  await new Promise<void>((listening) => webhook.listen(0, '127.0.0.1', listening))
  const { port } = webhook.address() as AddressInfo
  const budget = { server_usd: '1000', per_run_usd: '1000' }
  const config = { server: { port: 0 }, budget, alerts: { webhooks: [{ url: `http://127.0.0.1:${port}` }] } }
  mkdirSync(join(folder, 'backups'))
  for (const [name, text] of Object.entries({
    'iron-cage.yaml': JSON.stringify(config),
    'master.key': MASTER_KEY,
    'new.key': [...MASTER_KEY].reverse().join(''),
    'agent.py': 'import time; time.sleep(3600)',
  })) {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
  }
  const start = (...words: string[]) =>
    running.push(new Run(folder, words, { env: { IRON_CAGE_MASTER_KEY_FILE: 'master.key' } }))
  start('serve')
  await vi.waitUntil(() => existsSync(join(folder, 'iron_state.db.server')), WAIT)
  process.chdir(folder)
  start('start', 'agent.py', '--name', 'lead_gen_agent')
  await vi.waitUntil(async () => (await run(['ps'])).out.includes('running'), WAIT)
  await run(['secrets', 'set', 'OPENAI_API_KEY'])
  ids.agent = (JSON.parse((await run(['ps', '--json'])).out) as { id: string }[])[0]!.id
  ids.tokens = (JSON.parse((await run(['tokens', 'create', '--json'])).out) as { id: string }).id
})
afterAll(async () => {
  process.chdir(root)
  for (const { child, ended } of running.reverse()) {
    child.kill('SIGTERM')
    await ended
  }
  webhook.close()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
})

test.each(quotedCommands())('$title', async ({ words: [program, ...words], isMention }) => {
  const check = CHECKS[/[^/]+$/.exec(program!)![0]]
  expect(check, `${program} is a program that the documents may quote`).toBeDefined()
  await check!(words, isMention)
})

const CHECKS: Readonly<Record<string, (words: string[], isMention: boolean) => Promise<void>>> = {
  'iron-cage': checkOwn,
  'iron-sandbox': async (words) => checkSandboxFlags(words),
  npm: checkNpm,
  npx: async ([program, ...words], isMention) => {
    if (program === 'vitest') return checkFiles(words.slice(1))
    expect(program).toMatch(new RegExp(`^(iron-cage|\\./iron-cage-${manifest.version}\\.tgz)$`))
    await checkOwn(words, isMention)
  },
  node: async ([script]) => checkFiles([script!]),
  python: checkPython,
  python3: checkPython,
  pip: async ([install, path, ...more]) => {
    expect(install).toBe('install')
    // One that a release has: test/packaging/release.test.ts installs it.
    if (path!.endsWith('.whl'))
      return expect(path).toMatch(new RegExp(`^\\./iron_(cage|cli_py)-${manifest.version}-py3-none-`))
    // The packages of tutorials, in the versions that the tests have.
    if (!path!.startsWith('.')) return checkTested([path!, ...more])
    const [, place, extra] = /^\.\/([\w/]+?)(?:\[(\w+)\])?$/.exec(path!)!
    const project = readFileSync(join(root, place!, 'pyproject.toml'), 'utf8')
    if (extra) expect(project).toMatch(new RegExp(`^${extra} = \\[`, 'm'))
  },
  'iron-cli-py': async (words) => checkPythonCli(words),
  sh: async ([script]) => checkFiles([script!.replace('./release', 'scripts/release')]),
  docker: async (words) => checkFiles(filesOf(words)),
  kubectl: async (words) => checkFiles(filesOf(words)),
  // PostgreSQL's own, and commands that copy a file of SQLite: production.test.ts and backups.test.ts run them.
  sudo: async (words) =>
    expect(words.join(' ')).toMatch(/^-u postgres (psql|createdb|pg_dump|pg_restore|pg_basebackup) /),
  cp: async (words) => expect(words[0]).toMatch(/^iron_panel\./),
  mv: async (words) => expect(words[0]).toMatch(/^iron_panel\./),
  alias: async (words) => {
    const paths = [...words.join(' ').matchAll(/\$PWD\/([\w./-]+)/g)].map(([, path]) => path!)
    expect(paths).toHaveLength(2)
    for (const path of paths) accessSync(join(root, path), constants.R_OK)
  },
  'install-peers.sh': async () => accessSync(join(root, 'scripts/bench/install-peers.sh'), constants.X_OK),
  // Another project's program.
  claude: async () => undefined,
  echo: async () => undefined,
  gemini: async () => undefined,
}

async function checkOwn(words: string[], isMention: boolean): Promise<void> {
  const typed = words.join(' ')
  if (isMention || LASTING.test(typed)) return checkHelp(words)
  const { code, out, err } = await run(words.map((word) => realValue(word, words[0]!)))
  const refused = REFUSED.flatMap(([command, exit]) => (command.test(typed) ? [exit] : []))
  expect([0, ...refused], `${out}\n${err}`).toContain(code)
}

/** The command exists, and its help names every flag that is used. */
async function checkHelp(words: readonly string[]): Promise<void> {
  const path: string[] = []
  let help = await helpOf([])
  for (const word of words) {
    if (word === '<command>') return
    if (!subcommandsIn(help, path).includes(word)) break
    path.push(word)
    help = await helpOf(path)
  }
  const end = words.includes('--') ? words.indexOf('--') : words.length
  const rest = words.slice(path.length, end)
  // A command with others below it may do something by itself.
  if (subcommandsIn(help, path).length > 0 && !rest[0]?.startsWith('-')) expect(rest).toEqual([])
  for (const flag of rest.filter((word) => word.startsWith('-'))) {
    expect(help).toMatch(new RegExp(`^ +(-\\w, )?${flag.replace('--no-', '--(no-)?')}\\b`, 'm'))
  }
}

const EXAMPLE_IDS = /^(<id>|lg-7a3f9c2d)$/

/** The value for an example: an id of this test's server, a folder that can be written. */
const realValue = (word: string, command: string): string =>
  EXAMPLE_IDS.test(word)
    ? ids[command === 'tokens' ? 'tokens' : 'agent']!
    : word.replace(/^\/backups\//, `${folder}/backups/`)

/** Runs a command line in this process, in the folder of the test, with an input that is a password, a secret and a record. */
async function run(words: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const variables = { PATH: process.env.PATH, HOME: folder, IRON_CAGE_MASTER_KEY_FILE: 'master.key' }
  const code = await runCli(
    words,
    {},
    {
      ...processTerminal(),
      out: (line) => void out.push(line),
      err: (line) => void err.push(line),
      input: (async function* () {
        yield Buffer.from('{"text":"correct horse battery staple"}\n')
      })(),
      inputIsTerminal: false,
      env: readEnvironment(variables),
      cwd: folder,
    },
  )
  return { code, out: out.join('\n'), err: err.join('\n') }
}

async function checkNpm([command, script, dashes, ...flags]: string[]): Promise<void> {
  if (command === 'install') return checkTested([flags[0] ?? dashes!])
  if (command !== 'run') return expect(['ci', 'test', 'pack', 'publish']).toContain(command)
  const scripts: Readonly<Record<string, string>> = manifest.scripts
  expect(Object.keys(scripts)).toContain(script)
  if (dashes === undefined) return
  expect(dashes).toBe('--')
  if (script === 'demo') return checkHelp(['demo', ...flags])
  const source = readFileSync(join(root, /node (scripts\S+)$/.exec(scripts[script!]!)![1]!), 'utf8')
  for (const flag of flags.filter((word) => word.startsWith('--'))) expect(source).toContain(`${flag.slice(2)}: {`)
}

/** The test set-up installs each of these packages. */
function checkTested(packages: readonly string[]): void {
  const lists = globSync('scripts/{setup-tests.sh,test-requirements*.txt}', { cwd: root })
  const installed = lists.map((name) => readFileSync(join(root, name), 'utf8')).join('\n')
  for (const name of packages) expect(installed).toMatch(new RegExp(`(^|=)${name}(\\[\\w+\\])?(==|@)`, 'm'))
}

async function checkPython(words: string[]): Promise<void> {
  const [script, ...rest] = words.filter((word) => !/^-[PSI]$/.test(word))
  if (script === '-m' && rest[0] === 'iron_sandbox') return checkSandboxFlags(rest.slice(1))
  if (script === '-m') return checkFiles(rest.slice(1))
  if (script?.startsWith('scripts/')) checkFiles([script])
}

async function checkSandboxFlags(words: string[]): Promise<void> {
  const cwd = join(root, 'python')
  const { stderr } = spawnSync('python3', ['-m', 'iron_sandbox', '--help'], { cwd, encoding: 'utf8' })
  const own = words.includes('--') ? words.slice(0, words.indexOf('--')) : words
  for (const flag of own.filter((word) => word.startsWith('--'))) expect(stderr).toContain(` ${flag} `)
}

/** The command exists, and its help names every flag that is used. */
function checkPythonCli(words: string[]): void {
  const path = words.filter((word, at) => /^[a-z]+$/.test(word) && !words[at - 1]?.startsWith('--')).slice(0, 2)
  const help = [path, path.slice(0, 1)].map((command) => {
    const { stdout } = spawnSync(join(root, '.venv-test/bin/python'), ['-m', 'iron_cli', ...command, '--help'], {
      cwd: join(root, 'python'),
      encoding: 'utf8',
    })
    return stdout
  })
  expect(help.join('')).toContain('Usage: iron-cli-py')
  for (const flag of words.filter((word) => word.startsWith('--'))) expect(help.join('')).toContain(` ${flag} `)
}

/** The words after each `-f`. */
const filesOf = (words: readonly string[]) => words.filter((_, at) => words[at - 1] === '-f')

function checkFiles(paths: readonly string[]): void {
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
}
