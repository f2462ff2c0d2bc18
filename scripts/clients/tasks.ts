/**
 * A task with a tool, streams and a cached turn, for each of six clients: once without a cage, once in it.
 *
 *     npm run test:tasks                           # all, in environments below .venv-clients
 *     node scripts/clients/tasks.ts aider Codex    # some of them
 *
 * Prints a row for each, and exits with 1 when the output, the effect, the number of requests or the bill differs, or the
 * ledger from the bill.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import { freePort } from '../../test/support/free-port.ts'
import { prepare } from './environments.ts'
import { FINAL, PRICES, RESULT, TaskProvider, type Tool } from './task-provider.ts'
import type { Installed } from './trial.ts'

const root = resolve(import.meta.dirname, '../..')
const MAX_MS = 240_000

interface Task {
  name: string
  packages: readonly string[]
  /** Of `programs/`; names the environment for a client that is a command. */
  program: string
  tool: Tool
  /** Answered to requests without tools. (Default: a greeting.) */
  plain?: string
  /** (Default: the program.) */
  command?: (installed: Installed) => string[]
  environment?: Record<string, string>
  /** A server between the client and the provider. (Default: none.) */
  between?: (installed: Installed, providerUrl: string, folder: string) => Promise<{ url: string; child: ChildProcess }>
  /** Written by the client, of the folder it runs in. (Default: its output.) */
  effect?: string
}

const WARMTH: Tool = { name: 'warmth', input: { city: 'Oslo' } }
const shell = (name: string, input: object): Tool => ({ name, input })
const bin = ({ folder }: Installed, name: string): string => join(folder, 'node_modules/.bin', name)
const KEY = 'sk-of-the-user'
const PROMPT = 'How warm is it in Oslo?'

const TASKS: readonly Task[] = [
  {
    name: 'AI SDK, signed thoughts',
    packages: ['ai@7.0.173', '@ai-sdk/openai-compatible@3.0.92'],
    ...{ program: 'task_ai.mjs', tool: WARMTH },
  },
  {
    name: 'LangChain',
    packages: ['langchain-openai==1.7.3'],
    ...{ program: 'task_langchain.py', tool: WARMTH },
  },
  {
    name: "LiteLLM's proxy",
    packages: ['litellm[proxy]==1.106.2'],
    ...{ program: 'task_openai.py', tool: WARMTH, between: litellm },
  },
  {
    name: 'Claude Code',
    packages: ['@anthropic-ai/claude-code@2.1.197'],
    ...{ program: 'claude_code.mjs', tool: shell('Bash', { command: `echo ${RESULT}`, description: 'Looks.' }) },
    command: (installed) => [
      ...[bin(installed, 'claude'), '-p', PROMPT, '--model', 'claude-haiku-4-5'],
      ...['--allowedTools', 'Bash(echo:*)'],
    ],
    environment: { CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1' },
  },
  {
    name: 'Codex',
    packages: ['@openai/codex@0.169.0'],
    ...{ program: 'codex.mjs', tool: shell('exec_command', { cmd: `echo ${RESULT}` }) },
    // It takes an address from its configuration alone.
    command: (installed) => [
      ...['sh', '-c', 'exec "$@" -c "model_providers.task.base_url=\\"$OPENAI_BASE_URL\\"" "$PROMPT"', 'sh'],
      ...[bin(installed, 'codex'), 'exec', '--skip-git-repo-check', '--ephemeral', '--sandbox', 'danger-full-access'],
      ...['-m', 'gpt-4o-mini', '-c', 'model_provider="task"', '-c', 'model_providers.task.name="task"'],
      ...['-c', 'model_providers.task.env_key="OPENAI_API_KEY"', '-c', 'model_providers.task.wire_api="responses"'],
    ],
    environment: { PROMPT },
  },
  {
    name: 'aider',
    packages: ['aider-chat==0.86.2'],
    ...{ program: 'task_aider.py', tool: WARMTH },
    plain: 'note.txt\n```\nOslo has 4 degrees.\n```\n',
    command: ({ interpreter }) => [
      ...[
        interpreter,
        '-m',
        'aider',
        '--model',
        'openai/gpt-4o-mini',
        '--edit-format',
        'whole',
        '--yes-always',
        '--no-git',
      ],
      ...['--no-show-model-warnings', '--no-check-update', '--analytics-disable', '--no-auto-lint', '--no-detect-urls'],
      ...['--message', 'Write the weather of Oslo.', 'note.txt'],
    ],
    effect: 'note.txt',
  },
]

interface Outcome {
  exit: number | null
  /** The client's output, or the content of its file. */
  isRight: boolean
  requests: number
  billedNanos: number
  /** Of the cage's ledger. */
  chargedNanos?: number
  output: string
}

async function litellm(installed: Installed, providerUrl: string, folder: string) {
  const port = await freePort()
  const params = { model: 'anthropic/claude-haiku-4-5', api_base: providerUrl, api_key: 'sk-ant-of-the-proxy' }
  const config = join(folder, 'litellm.yaml')
  writeFileSync(config, JSON.stringify({ model_list: [{ model_name: 'haiku', litellm_params: params }] }))
  const program = join(installed.folder, 'bin/litellm')
  const child = spawn(program, ['--config', config, '--port', String(port), '--host', '127.0.0.1'], {
    env: { PATH: process.env.PATH, HOME: folder, LITELLM_LOCAL_MODEL_COST_MAP: 'True', LITELLM_MASTER_KEY: KEY },
    stdio: 'ignore',
  })
  const url = `http://127.0.0.1:${port}`
  while (!(await fetch(`${url}/health/liveliness`).catch(() => undefined))?.ok) {
    if (child.exitCode !== null) throw new Error(`the proxy ended with ${child.exitCode}`)
    await sleep(200)
  }
  return { url, child }
}

async function run(task: Task, installed: Installed, isCaged: boolean): Promise<Outcome> {
  const provider = await TaskProvider.open(task.tool, task.plain)
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-task-'))
  const state = mkdtempSync(join(tmpdir(), 'iron-cage-task-state-'))
  const between = await task.between?.(installed, provider.url, state)
  try {
    const url = between?.url ?? provider.url
    const program = join(installed.folder, task.program)
    const words = task.command?.(installed) ?? [installed.interpreter, program]
    const database = join(state, 'iron_state.db')
    if (isCaged) writeFileSync(join(state, 'cage.yaml'), JSON.stringify(configOf(url, database, installed.folder)))
    const flags = ['--config', join(state, 'cage.yaml'), '--budget', '20']
    const cage = [process.execPath, join(root, 'bin/iron-cage.cjs'), 'run', ...flags, '--']
    const environment = {
      ...{ PATH: process.env.PATH!, HOME: state, LANG: 'C.UTF-8', LITELLM_LOCAL_MODEL_COST_MAP: 'True' },
      ...{ OPENAI_API_KEY: KEY, ANTHROPIC_API_KEY: 'sk-ant-of-the-user' },
      ...(!isCaged && { OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_BASE: `${url}/v1`, ANTHROPIC_BASE_URL: url }),
      ...task.environment,
    }
    const { exit, output } = await outputOf([...(isCaged ? cage : []), ...words], folder, environment)
    const file = task.effect && join(folder, task.effect)
    const effect = file === undefined ? output : existsSync(file) ? readFileSync(file, 'utf8') : ''
    const { requests, billedNanos } = provider
    const outcome = { exit, isRight: effect.includes(FINAL), requests, billedNanos, output }
    return isCaged ? { ...outcome, chargedNanos: chargedIn(database) } : outcome
  } finally {
    between?.child.kill('SIGTERM')
    provider.close()
    for (const each of [folder, state]) rmSync(each, { recursive: true, force: true, maxRetries: 5 })
  }
}

const usdPerMtok = (nanos: number): number => nanos / 1_000

function configOf(url: string, database: string, installed: string): object {
  const price = {
    input_per_mtok: usdPerMtok(PRICES.input),
    cached_input_per_mtok: usdPerMtok(PRICES.cached),
    output_per_mtok: usdPerMtok(PRICES.output),
    ...{ context_window: 200_000, confirm: true },
  }
  return {
    providers: { openai: { base_url: `${url}/v1` }, anthropic: { base_url: url } },
    prices: { 'openai/*': price, 'anthropic/*': price },
    agent: { sandbox: { read: [installed] } },
    server: { port: 0 },
    db: { path: database },
    log: { dir: join(database, '../logs') },
  }
}

function chargedIn(database: string): number {
  const opened = new Sqlite(database, { readonly: true })
  try {
    return (opened.prepare('SELECT coalesce(sum(cost_nanos), 0) AS sum FROM calls').get() as { sum: number }).sum
  } finally {
    opened.close()
  }
}

async function outputOf([program, ...words]: string[], cwd: string, env: Record<string, string>) {
  const child = spawn(program!, words, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const overdue = setTimeout(() => child.kill('SIGKILL'), MAX_MS)
  const exit = await new Promise<number | null>((closed) => child.once('close', closed))
  clearTimeout(overdue)
  return { exit, output }
}

const usd = (nanos: number): string => `$${(nanos / 1e9).toFixed(7)}`

async function main(): Promise<void> {
  const wanted = process.argv.slice(2)
  for (const task of TASKS.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    const installed = prepare(task)
    const bare = await run(task, installed, false)
    const caged = await run(task, installed, true)
    const isSame =
      bare.isRight &&
      caged.isRight &&
      bare.exit === caged.exit &&
      bare.requests === caged.requests &&
      bare.billedNanos === caged.billedNanos &&
      caged.chargedNanos === caged.billedNanos
    const of = ({ exit, isRight, requests, billedNanos }: Outcome) =>
      `${isRight ? 'finished' : 'not finished'}, exit ${exit}, ${requests} requests, ${usd(billedNanos)}`
    console.log(`| ${task.name} | ${of(bare)} | ${of(caged)} | ${usd(caged.chargedNanos!)} | ${isSame ? '✓' : '✗'} |`)
    if (isSame) continue
    process.exitCode = 1
    for (const { output } of [bare, caged]) console.log(output.slice(-1_500))
  }
}

await main()
