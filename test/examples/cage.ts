/** `iron-cage start` on a Python program, with the simulated provider behind it. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { RuntimeEvent } from '../../src/events.ts'
import { addUsd, type Usd } from '../../src/money.ts'
import { FakeProvider } from '../support/provider.ts'
import { answersByTheBook } from './provider.ts'

const root = resolve(import.meta.dirname, '../..')

export interface Caged {
  code: number | null
  /** What the agent printed, a line each, as the log shows it. */
  printed: string[]
  /** What went to the terminal's error stream. */
  err: string
  events: RuntimeEvent[]
  spent: Usd
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
  async start(interpreter: string, script: string, ...flags: string[]): Promise<Caged> {
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
    const python = join(root, interpreter, 'bin/python')
    const given = ['start', join(root, script), '--config', config, '--python', python, ...flags]
    const ended = await run([join(root, 'bin/iron-cage.cjs'), ...given], this.#folder)
    const events = ended.out
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as RuntimeEvent)
    return { code: ended.code, err: ended.err, events, printed: events.flatMap(printedBy), spent: spentIn(events) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.provider.close()
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** What frameworks would otherwise tell their makers. */
const SILENT = {
  CREWAI_DISABLE_TELEMETRY: 'true',
  CREWAI_TRACING_ENABLED: 'false',
  OTEL_SDK_DISABLED: 'true',
  ANONYMIZED_TELEMETRY: 'False',
  LANGSMITH_TRACING: 'false',
}

function run(args: string[], folder: string): Promise<{ code: number | null; out: string; err: string }> {
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    LANG: 'C.UTF-8',
    OPENAI_API_KEY: 'sk-of-the-examples',
    ANTHROPIC_API_KEY: 'sk-ant-of-the-examples',
    ...SILENT,
  }
  return new Promise((done) => {
    const child = execFile(process.execPath, args, { cwd: folder, env, maxBuffer: 1e8 }, (_error, out, err) => {
      done({ code: child.exitCode, out, err })
    })
  })
}

/** What the SDK reported is in the same log, but nobody printed it. */
const printedBy = (event: RuntimeEvent): string[] =>
  event.type === 'agent.output' && event.data.stream === 'stdout' && !event.data.facts ? [event.data.text] : []

function spentIn(events: RuntimeEvent[]): Usd {
  const costs = events.flatMap((event) =>
    event.type === 'call.completed' || event.type === 'call.failed' ? [event.data.cost_usd] : [],
  )
  return costs.reduce(addUsd, '0' as Usd)
}
