/**
 * The real server in a separate process, as `iron-cage serve` starts it from dist/, and a client without supervision.
 * Every call asks for a number of tokens that no other asks for, and a token costs $0.001: the provider's calls and the
 * ledger's rows can be compared call by call.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import { Agent, request } from 'undici'
import type { FakeProvider } from '../../test/support/provider.ts'

const program = resolve(import.meta.dirname, '../../bin/iron-cage.cjs')
export const NANOS_PER_TOKEN = 1_000_000
const START_WITHIN_MS = 120_000

export interface Row {
  id: string
  state: 'held' | 'charged' | 'released' | 'unresolved'
  held_nanos: number
  cost_nanos: number
  code: string | null
}

export interface Answer {
  status: number
  /** The call's id in the ledger. */
  callId: string | undefined
  text: string
}

export class Cage {
  readonly #folder: string
  readonly #connections = new Agent({ connections: null, pipelining: 1 })
  #server: ChildProcess | undefined
  #url = ''
  #adminToken = ''
  #callToken = ''
  #agentId = ''

  /**
   * `folder`: for the database, the configuration and the logs. `more`: further sections of the configuration, and
   * further providers.
   */
  constructor(folder: string, provider: FakeProvider, more: { providers?: object; [section: string]: unknown } = {}) {
    this.#folder = folder
    const settings = {
      ...more,
      providers: { ...more.providers, openai: { base_url: `${provider.url}/v1`, retries: 0 } },
      prices: { penny: { input_per_mtok: 0, output_per_mtok: 1_000 } },
      server: { port: 0 },
      log: { level: 'error', dir: join(folder, 'logs') },
      db: { path: this.#database },
    }
    // JSON is YAML.
    writeFileSync(this.#config, JSON.stringify(settings))
  }

  /** Starts the server, and the first time gives the client its token and its limit. */
  async start(limitUsd = '9000000', isTrusted = true): Promise<void> {
    const server = spawn(process.execPath, [program, 'serve', '--config', this.#config], {
      cwd: this.#folder,
      env: { ...process.env, OPENAI_API_KEY: 'sk-of-the-server' },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    this.#server = server
    const file = await this.#published(server)
    this.#url = file.url.replace('localhost', '127.0.0.1')
    this.#adminToken = file.token
    if (this.#callToken) return
    // These providers obey; others have another soak.
    if (isTrusted) await this.api('POST', '/api/models/openai/trust', {})
    const created = await this.api('POST', '/api/tokens', { name: 'soak', budget_usd: limitUsd })
    this.#callToken = created.token as string
    this.#agentId = created.agent_id as string
  }

  get pid(): number {
    return this.#server!.pid!
  }

  /** http://127.0.0.1:port */
  get url(): string {
    return this.#url
  }

  /** The client's API token. */
  get callToken(): string {
    return this.#callToken
  }

  /** kill -9; resolves when the process is gone. */
  async kill(): Promise<void> {
    const server = this.#server
    if (!server || server.exitCode !== null || server.signalCode !== null) return
    const gone = once(server, 'exit')
    server.kill('SIGKILL')
    await gone
  }

  async close(): Promise<void> {
    await this.kill()
    await this.#connections.close()
  }

  /** A call for so many tokens at most. Rejects when the connection breaks or `signal` fires. */
  async call(maxTokens: number, { stream, signal }: { stream: boolean; signal?: AbortSignal }): Promise<Answer> {
    const answer = await request(`${this.#url}/gateway/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.#callToken}` },
      body: JSON.stringify({
        model: 'penny',
        max_tokens: maxTokens,
        stream,
        messages: [{ role: 'user', content: 'Go.' }],
      }),
      dispatcher: this.#connections,
      signal,
    })
    const callId = answer.headers['x-iron-cage-call-id']?.toString()
    return { status: answer.statusCode, callId, text: await answer.body.text() }
  }

  async api(method: 'GET' | 'POST' | 'PATCH', path: string, body?: object): Promise<Record<string, unknown>> {
    const answer = await request(this.#url + path, {
      method,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.#adminToken}` },
      body: body && JSON.stringify(body),
      dispatcher: this.#connections,
    })
    if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${await answer.body.text()}`)
    return (await answer.body.json()) as Record<string, unknown>
  }

  /** The client's balance as the API reports it. */
  async balance(): Promise<Record<'limit_usd' | 'spent_usd' | 'held_usd', string>> {
    return (await this.api('GET', `/api/agents/${this.#agentId}/status`)).budget as never
  }

  async setLimit(limitUsd: string): Promise<void> {
    await this.api('PATCH', `/api/agents/${this.#agentId}/budget`, { limit_usd: limitUsd })
  }

  async closeCircuit(): Promise<void> {
    await this.api('POST', '/api/circuits/openai/reset')
  }

  /** The ledger, read from the file. */
  rows(): Row[] {
    return this.query('SELECT id, state, held_nanos, cost_nanos, code FROM ledger') as Row[]
  }

  query(sql: string): unknown[] {
    const database = new Sqlite(this.#database, { readonly: true })
    try {
      return database.prepare(sql).all()
    } finally {
      database.close()
    }
  }

  get #database(): string {
    return join(this.#folder, 'state.db')
  }

  get #config(): string {
    return join(this.#folder, 'iron-cage.yaml')
  }

  /** The file of a listening server beside its database. */
  async #published(server: ChildProcess): Promise<{ url: string; token: string }> {
    for (const deadline = Date.now() + START_WITHIN_MS; Date.now() < deadline; await sleep(10)) {
      if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}`)
      const file = readJson(`${this.#database}.server`)
      if (file?.pid === server.pid && file?.url) return file as { url: string; token: string }
    }
    throw new Error('the server did not start')
  }
}

function readJson(path: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  } catch {
    return undefined
  }
}

/** The tokens that a request to the provider asked for: its name in the comparison. */
export const tokensAsked = (body: string): number => (JSON.parse(body) as { max_tokens: number }).max_tokens
