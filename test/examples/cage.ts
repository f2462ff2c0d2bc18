/** `iron-cage start` on a Python program, with the simulated provider behind it. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { RuntimeEvent } from '../../src/core/events.ts'
import { addUsd, type Usd, ZERO_USD } from '../../src/core/money.ts'
import { FakeProvider } from '../support/provider.ts'
import { answersByTheBook } from './provider.ts'

const root = resolve(import.meta.dirname, '../..')

export interface Caged {
  code: number | null
  /** The agent's output as in the log, a line each. */
  printed: string[]
  /** The output on the terminal's error stream. */
  err: string
  events: RuntimeEvent[]
  spent: Usd
}

/** A command of ours without its configuration, and its input. */
interface Command {
  words: readonly string[]
  stdin: string
}

/** The actions of a person beside an agent, in a cage with a vault. */
export interface Beside {
  before: readonly Command[]
  /** When the agent has printed this. */
  at: string
  meanwhile: readonly Command[]
}

/** A folder and a provider for several runs; `using` it ends both. */
export class Cage implements AsyncDisposable {
  readonly provider: FakeProvider
  readonly #folder = mkdtempSync(join(tmpdir(), 'iron-cage-examples-'))
  #runs = 0

  private constructor(provider: FakeProvider) {
    this.provider = provider
  }

  static async open(): Promise<Cage> {
    const provider = await FakeProvider.open()
    provider.does(answersByTheBook)
    return new Cage(provider)
  }

  /** `interpreter`: a Python environment below the root. `script`: from the root. */
  async start(interpreter: string, script: string, flags: readonly string[], beside?: Beside): Promise<Caged> {
    this.#runs += 1
    const state = join(this.#folder, `${this.#runs}`)
    const config = `${state}.yaml`
    const { url } = this.provider
    writeFileSync(
      config,
      JSON.stringify({
        providers: { openai: { base_url: `${url}/v1` }, anthropic: { base_url: url } },
        server: { port: 0 },
        agent: { restart: { max: 2 } },
        db: { path: `${state}.db` },
        log: { dir: `${state}.logs`, level: 'debug', format: 'json' },
      }),
    )
    const env: Record<string, string> = beside ? { IRON_CAGE_MASTER_KEY_FILE: `${state}.key` } : {}
    if (beside) await must(this.#run(['keygen', '--out', `${state}.key`]))
    for (const { words, stdin } of beside?.before ?? [])
      await must(this.#run([...words, '--config', config], env, stdin))
    const python = join(root, interpreter, 'bin/python')
    const start = ['start', join(root, script), '--config', config, '--python', python, ...flags]
    const { code, out, err } = await this.#run(start, env, '', async (soFar) => {
      if (!beside || !soFar.includes(beside.at)) return false
      for (const { words, stdin } of beside.meanwhile) await must(this.#run([...words, '--config', config], env, stdin))
      return true
    })
    const lines = out.split('\n').filter(Boolean)
    const events = lines.map((line) => JSON.parse(line) as RuntimeEvent)
    return { code, err, events, printed: events.flatMap(printedBy), spent: spentIn(events) }
  }

  /** A command of ours. `onOutput` is shown all of its output so far until it is true. */
  #run(
    words: readonly string[],
    more: Record<string, string> = {},
    stdin = '',
    onOutput?: (soFar: string) => Promise<boolean>,
  ): Promise<Ended> {
    const env = { PATH: process.env.PATH, HOME: this.#folder, LANG: 'C.UTF-8', ...KEYS, ...SILENT, ...CAGED, ...more }
    const args = [join(root, 'bin/iron-cage.cjs'), ...words]
    return new Promise((done, fail) => {
      const child = execFile(process.execPath, args, { cwd: this.#folder, env, maxBuffer: 1e8 }, (_error, out, err) => {
        done({ code: child.exitCode, out, err })
      })
      child.stdin!.end(stdin)
      if (!onOutput) return
      let soFar = ''
      let isDone = false
      child.stdout!.on('data', (text: string) => {
        soFar += text
        if (isDone) return
        isDone = true
        onOutput(soFar).then((answer) => {
          isDone = answer
        }, fail)
      })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.provider.close()
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

const KEYS = { OPENAI_API_KEY: 'sk-of-the-examples', ANTHROPIC_API_KEY: 'sk-ant-of-the-examples' }

/** Telemetry of frameworks, off. */
const SILENT = {
  CREWAI_DISABLE_TELEMETRY: 'true',
  CREWAI_TRACING_ENABLED: 'false',
  OTEL_SDK_DISABLED: 'true',
  ANONYMIZED_TELEMETRY: 'False',
  LANGSMITH_TRACING: 'false',
}

/** With TEST_SANDBOX at that level instead of the default. */
const CAGED: Record<string, string> = process.env.TEST_SANDBOX ? { IRON_CAGE_SANDBOX: process.env.TEST_SANDBOX } : {}

interface Ended {
  code: number | null
  out: string
  err: string
}

async function must(ended: Promise<Ended>): Promise<void> {
  const { code, err } = await ended
  if (code !== 0) throw new Error(err)
}

/** The reports of the SDK are in the same log, but were not printed. */
const printedBy = (event: RuntimeEvent): string[] =>
  event.type === 'agent.output' && event.data.stream === 'stdout' && !event.data.facts ? [event.data.text] : []

function spentIn(events: RuntimeEvent[]): Usd {
  const costs = events.flatMap((event) =>
    event.type === 'call.completed' || event.type === 'call.failed' ? [event.data.cost_usd] : [],
  )
  return costs.reduce(addUsd, ZERO_USD)
}
