/** Runs the agent of a case as its user does, and returns the faults that the user sees. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../support/free-port.ts'
import type { AgentCase } from './case.ts'
import { type CaseProvider, CERTIFICATE } from './provider.ts'

const PROGRAM = resolve(import.meta.dirname, '../../bin/iron-cage.cjs')
/** Has uvicorn. */
const PYTHON = resolve(import.meta.dirname, '../../.venv-test-litellm/bin/python')
const TIMEOUT_MS = 60_000

interface Ended {
  folder: string
  output: string
  exit: number | null
  ms: number
}

/** `port`: of the server that the agent's command starts. */
export async function wrongsOf(one: AgentCase, provider: CaseProvider): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-ordinary-'))
  const places = {
    '@DIR@': folder,
    '@HTTP@': provider.url,
    '@CONNECT@': provider.proxyUrl,
    '@CA@': CERTIFICATE,
    '@PY@': PYTHON,
  }
  const port = String(await freePort())
  const named = {
    ...places,
    '@CAGE@': `${process.execPath} ${PROGRAM}`,
    '@PORT@': port,
    '@FREE@': String(await freePort()),
  }
  const fill = (text: string) =>
    Object.entries(named).reduce((filled, [name, value]) => filled.replaceAll(name, value), text)
  try {
    write(folder, one.files, fill)
    const ended = await run(one, folder, port, provider.url, fill)
    return judge(one, ended, fill)
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

function write(folder: string, files: AgentCase['files'], fill: (text: string) => string): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, fill(content))
    if (content.startsWith('#!')) chmodSync(path, 0o755)
  }
}

async function run(
  { cmd = [], wrap, env = {}, stdin, signals = [], timeout = TIMEOUT_MS }: AgentCase,
  folder: string,
  port: string,
  providerUrl: string,
  fill: (text: string) => string,
): Promise<Ended> {
  const [program, words] = wrap ? ['bash', ['-c', fill(wrap)]] : [process.execPath, [PROGRAM, ...cmd.map(fill)]]
  const startedAt = performance.now()
  const child = spawn(program, words, {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      IRON_CAGE_PORT: port,
      OPENAI_BASE_URL: `${providerUrl}/v1`,
      OPENAI_API_KEY: 'sk-server-key-0001',
      OPENROUTER_API_KEY: 'or-server-key-0004',
      ...Object.fromEntries(Object.entries(env).map(([name, value]) => [name, fill(value)])),
    },
    stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })
  child.stdin?.end(stdin)
  let output = ''
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const closed = new Promise<number | null>((done) => child.once('close', done))
  const overdue = setTimeout(() => child.kill('SIGKILL'), timeout)
  for (const { after, sig, wait = 100 } of signals) {
    await shown(child, () => output.includes(after))
    await sleep(wait)
    child.kill(sig)
  }
  const exit = await closed.finally(() => clearTimeout(overdue))
  return { folder, output, exit, ms: performance.now() - startedAt }
}

async function shown(child: ChildProcess, isShown: () => boolean): Promise<void> {
  while (!isShown() && child.exitCode === null && child.signalCode === null) await sleep(20)
}

function judge({ expect }: AgentCase, { folder, output, exit, ms }: Ended, fill: (text: string) => string): string[] {
  const wrongs: string[] = []
  const require = (isRight: boolean, what: string) => void (isRight || wrongs.push(what))
  if (expect.exit !== undefined) require([expect.exit].flat().includes(exit!), `it ends with ${exit}`)
  for (const text of expect.has ?? [])
    require(output.includes(text), `${JSON.stringify(text)} is not shown in\n${output}`)
  for (const text of expect.lacks ?? [])
    require(!output.includes(text), `${JSON.stringify(text)} is shown in\n${output}`)
  if (expect.maxMs !== undefined) require(ms <= expect.maxMs, `it takes ${ms} ms`)
  if (expect.gone !== undefined) require(!isRunning(fill(expect.gone)), `${expect.gone} still runs`)
  for (const [name, content] of Object.entries(expect.files ?? {})) {
    const found = contentOf(join(folder, name))
    require(content === null ? found === null : (found?.includes(content) ?? false), `${name} has ${found}`)
  }
  return wrongs
}

function isRunning(pattern: string): boolean {
  try {
    execFileSync('pgrep', ['-f', pattern])
    return true
  } catch {
    return false
  }
}

function contentOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
