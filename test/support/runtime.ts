/**
 * The real program around a fake provider: `openTestRuntime` opens every part on a free port with its own database,
 * `addAgent` gives it an agent that exists without a process, with a run token and clients that use it. When the test
 * ends, everything is closed, and searched for leftovers: open holds, faults in the log, an open port.
 */

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import { Agent as Connections, type Dispatcher, request } from 'undici'
import { expect, onTestFinished } from 'vitest'
import type { TokenRun } from '../../src/access/run-tokens.ts'
import { type Config, configSchema } from '../../src/config/schema.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { EventOf, EventType, RuntimeEvent } from '../../src/core/events.ts'
import { type AgentId, newAgentId, newRunId, type RunId } from '../../src/core/ids.ts'
import { type Nanodollars, toUsd, usd } from '../../src/core/money.ts'
import { openStore } from '../../src/db/store.ts'
import { openApiDocument } from '../../src/http/openapi.ts'
import type { RuntimeParts } from '../../src/runtime.ts'
import { openParts } from './built.ts'
import { listRoutes } from './deps.ts'
import { type ApiDocument, type Compare, compareWith } from './documented.ts'
import { folderInMemory } from './in-memory.ts'
import { dollars } from './money.ts'
import { FakeProvider } from './provider.ts'

/** Models whose cost is easy to see: output only, $0.001 a token, $0.10 a token. */
export const PRICES = {
  penny: { input_per_mtok: 0, output_per_mtok: 1_000 },
  dime: { input_per_mtok: 0, output_per_mtok: 100_000 },
  /** Input and output, as a model of today: $2.50 and $10 a million. */
  plain: { input_per_mtok: 2.5, output_per_mtok: 10 },
}

type Json = Record<string, unknown>
type Section =
  | 'network'
  | 'otel'
  | 'agent'
  | 'budget'
  | 'calls'
  | 'safety'
  | 'services'
  | 'server'
  | 'log'
  | 'alerts'
  | 'db'

export type RuntimeOptions = Partial<Record<Section, Json>> & {
  /** Settings of both providers. Nothing is retried unless it asks for it. */
  provider?: Json
  /** Further providers by name, at the same fake one. */
  others?: Record<string, Json>
  prices?: Json
  clock?: Clock
  environment?: Record<string, string> | ((provider: FakeProvider) => Record<string, string>)
  /** Opens the vault. (Default: it stays locked.) */
  masterKey?: string
  /** The folder of an earlier runtime, to see the state after a restart. */
  folder?: string
  /** It is not known that the providers obey their limits, as of any server but the vendors' own. */
  isUnknown?: boolean
  /** The sources', for a test that breaks one of their classes on purpose. (Default: the built one.) */
  open?: typeof openParts
  /** Messages in the log that this test provokes. */
  faults?: RegExp
}

/** No call runs out of its two seconds of waiting for held money: they are short on a busy machine. */
export const patientClock: Clock = { ...systemClock, monotonic: () => 1_000 }

export interface CallRow {
  id: AgentId
  agent_id: AgentId
  state: 'held' | 'charged' | 'released' | 'unresolved'
  model: string | null
  held_nanos: Nanodollars
  cost_nanos: Nanodollars
  estimated: number
  status: number | null
  code: string | null
  usage: string
  price: string
}

export interface Reply {
  status: number
  headers: Record<string, string>
  text: string
  json(): Json
}

/** One pool for all tests, without a limit: two hundred calls are two hundred connections. */
const connections = new Connections({ connections: null, pipelining: 1 })

interface NewTestAgent {
  limit?: string
  name?: string
  tags?: Record<string, string>
  egress?: TokenRun['egress']
}

export class TestRuntime {
  readonly runtime: RuntimeParts
  readonly provider: FakeProvider
  readonly folder: string
  /** http://127.0.0.1:port */
  readonly url: string
  readonly database: Sqlite.Database
  readonly #events: RuntimeEvent[] = []
  readonly #faults: RegExp | undefined
  #isClosed = false

  constructor(runtime: RuntimeParts, provider: FakeProvider, folder: string, faults: RegExp | undefined) {
    this.runtime = runtime
    this.provider = provider
    this.folder = folder
    this.#faults = faults
    // Encrypted for others alone.
    this.url = runtime.url.replace(/^https:.*(?=:\d)/, 'http://127.0.0.1').replace('localhost', '127.0.0.1')
    this.database = new Sqlite(join(folder, 'state.db'), { readonly: true })
    runtime.state.subscribe((event) => this.#events.push(event))
  }

  /** Everything recorded since it was opened. */
  get events(): RuntimeEvent[] {
    this.runtime.state.read()
    return this.#events
  }

  /** An agent that runs as far as anyone can see. */
  addAgent({ limit = '10', name = 'worker', tags, egress }: NewTestAgent = {}): TestAgent {
    const id = newAgentId(name)
    const script = `/agents/${name}.py`
    const runId = newRunId()
    this.runtime.ledger.accounts.openAccount(id, dollars(limit))
    this.runtime.state.record({
      type: 'agent.started',
      level: 'OK',
      agent_id: id,
      message: `${name} started`,
      data: {
        run_id: runId,
        name,
        script,
        environment: 'development',
        pid: process.pid,
        restart: 0,
        limit_usd: usd(limit),
        safety_mode: this.runtime.config.safety.mode,
        detect: this.runtime.config.safety.detect,
        ...(tags && { tags }),
      },
    })
    return new TestAgent(this, id, runId, this.runtime.runTokens.issue({ agentId: id, runId, name, script, egress }))
  }

  /** Rows of the ledger for which money was held, oldest first. */
  rows(): CallRow[] {
    return this.#allRows().filter(({ state, held_nanos }) => state !== 'released' || held_nanos > 0)
  }

  /** Rows of calls that were refused before a hold, or that were free. */
  uncharged(): CallRow[] {
    return this.#allRows().filter(({ state, held_nanos }) => state === 'released' && held_nanos === 0)
  }

  #allRows(): CallRow[] {
    return this.database.prepare('SELECT * FROM ledger ORDER BY started_at, id').all() as CallRow[]
  }

  of<T extends EventType>(type: T): EventOf<T>[] {
    return this.events.filter((event): event is EventOf<T> => event.type === type)
  }

  /** The first event of this type, also one that has been already. */
  async event<T extends EventType>(type: T): Promise<EventOf<T>> {
    const past = this.of(type)[0]
    if (past) return past
    return new Promise((resolve) => {
      const unsubscribe = this.runtime.state.subscribe((event) => {
        if (event.type !== type) return
        unsubscribe()
        resolve(event as EventOf<T>)
      })
    })
  }

  /** A session's access token, as the dashboard gets it from its link. */
  async login(): Promise<{ access_token: string; refresh_token: string }> {
    const code = this.runtime.dashboardLink().split('#code=')[1]!
    return (await this.post('/api/auth/exchange', { code })).json() as { access_token: string; refresh_token: string }
  }

  /** Fails when the reply differs from the OpenAPI document; so does `post`. */
  get(path: string, token?: string): Promise<Reply> {
    return sendDocumented(this.url + path, { method: 'GET', headers: bearer(token) })
  }

  post(
    path: string,
    body: unknown,
    token?: string,
    method: 'POST' | 'PATCH' | 'PUT' | 'DELETE' = 'POST',
  ): Promise<Reply> {
    const headers = { 'content-type': 'application/json', ...bearer(token) }
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return sendDocumented(this.url + path, { method, headers, body: text })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.runtime.close('the test has ended')
    const rows = this.rows()
    this.database.close()
    expect(rows.filter(({ state }) => state === 'held')).toEqual([])
    expect(readdirSync(this.folder).filter((name) => name.endsWith('.server'))).toEqual([])
    expect(this.faults().filter((message) => !this.#faults?.test(message))).toEqual([])
    // Until there is no answer: the port is free now, and a test beside this one may have taken it for a while.
    const isAnswered = () =>
      send(`${this.url}/api/health`, { method: 'GET' }).then(
        () => true,
        () => false,
      )
    await until(async () => !(await isAnswered()), 'the server has closed its port')
  }

  /** All that is written of the log so far. */
  log(): string {
    const folder = join(this.folder, 'logs')
    return readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('')
  }

  /** The log's lines about faults of our own. */
  faults(): string[] {
    return this.log()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as { message: string; error?: unknown; type?: string })
      .filter(({ type, error }) => type === undefined && error !== undefined)
      .map(({ message, error }) => `${message}: ${JSON.stringify(error)}`)
  }
}

/** Opens the program; closed when the test ends. */
export async function openTestRuntime(options: RuntimeOptions = {}): Promise<TestRuntime> {
  const {
    provider: settings,
    others,
    prices,
    clock,
    environment,
    masterKey,
    folder: given,
    isUnknown,
    open = openParts,
    faults,
    ...sections
  } = options
  const provider = await FakeProvider.open()
  const folder = given ?? folderInMemory()
  const perProvider = { retries: 0, ...settings }
  const config = configSchema.parse({
    ...sections,
    providers: {
      openai: { base_url: `${provider.url}/v1`, ...perProvider },
      anthropic: { base_url: provider.url, ...perProvider },
      google: { base_url: provider.url, ...perProvider },
      ...Object.fromEntries(
        Object.entries(others ?? {}).map(([name, own]) => [
          name,
          { base_url: `${provider.url}/${name}/v1`, ...perProvider, ...own },
        ]),
      ),
    },
    // Of all of them: a name alone is for the vendors' own.
    prices: pricesOf({ ...PRICES, ...prices }, Object.keys(others ?? {})),
    server: { port: 0, ...sections.server },
    log: { dir: join(folder, 'logs'), level: 'error', ...sections.log },
    db: { path: join(folder, 'state.db'), ...sections.db },
  })
  if (!isUnknown && !existsSync(config.db.path)) trustProviders(config)
  const runtime = await open({
    config,
    configFile: null,
    environment: {
      OPENAI_API_KEY: 'sk-of-the-server',
      ANTHROPIC_API_KEY: 'sk-ant-of-the-server',
      GEMINI_API_KEY: 'AIza-of-the-server',
      ...(typeof environment === 'function' ? environment(provider) : environment),
    },
    masterKey,
    version: '0.0.0-test',
    clock,
  })
  const opened = new TestRuntime(runtime, provider, folder, faults)
  onTestFinished(async () => {
    await opened.close()
    await provider.close()
    if (!given) rmSync(folder, { recursive: true, force: true })
  })
  return opened
}

export class TestAgent {
  readonly id: AgentId
  readonly runId: RunId
  readonly token: string
  readonly openai: string
  readonly anthropic: string
  readonly #cage: TestRuntime

  constructor(cage: TestRuntime, id: AgentId, runId: RunId, token: string) {
    this.#cage = cage
    this.id = id
    this.runId = runId
    this.token = token
    this.openai = `${cage.url}/gateway/${token}/openai/v1`
    this.anthropic = `${cage.url}/gateway/${token}/anthropic`
  }

  /** A chat completion; `body` is added to a small polite one, or sent as it is when it is text. */
  chat(body: Json | string = {}, headers: Record<string, string> = {}): Promise<Reply> {
    return send(`${this.openai}/chat/completions`, this.#call(body, headers))
  }

  /** A message in Anthropic's dialect. */
  message(body: Json | string = {}, headers: Record<string, string> = {}): Promise<Reply> {
    return send(`${this.anthropic}/v1/messages`, this.#call(body, headers))
  }

  /** The same in the dialect of that name. */
  call(dialect: 'openai' | 'anthropic', body: Json = {}): Promise<Reply> {
    return dialect === 'openai' ? this.chat(body) : this.message(body)
  }

  /** Anything below a provider's base URL. */
  send(
    provider: string,
    method: string,
    path: string,
    body?: string | Buffer,
    headers: Record<string, string> = this.#call('', {}).headers,
  ): Promise<Reply> {
    const url = `${this.#cage.url}/gateway/${this.token}/${provider}${path}`
    return send(url, { method: method as 'POST', headers, body })
  }

  service(name: string, path: string): Promise<Reply> {
    return this.send(`services/${name}`, 'GET', path)
  }

  /** A chat completion whose answer is read by the test itself. */
  open(body: Json = {}, signal?: AbortSignal): Promise<Dispatcher.ResponseData> {
    return request(`${this.openai}/chat/completions`, {
      ...this.#call({ stream: true, ...body }, {}),
      dispatcher: connections,
      signal,
    })
  }

  /** Limit, spent and held, as decimal strings. */
  balance(): { limit: string; spent: string; held: string } {
    const { limit, spent, held } = this.#cage.runtime.ledger.accounts.balance(this.id)
    return { limit: toUsd(limit), spent: toUsd(spent), held: toUsd(held) }
  }

  #call(body: Json | string, headers: Record<string, string>) {
    const polite = { model: 'penny', max_tokens: 4, messages: [{ role: 'user', content: 'Say hello.' }] }
    return {
      method: 'POST' as const,
      headers: { 'content-type': 'application/json', authorization: 'Bearer sk-of-the-agent', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify({ ...polite, ...body }),
    }
  }
}

const bearer = (token: string | undefined): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` }

let compare: Promise<Compare> | undefined

async function sendDocumented(
  url: string,
  options: Parameters<typeof request>[1] & { method: string },
): Promise<Reply> {
  const reply = await send(url, options)
  compare ??= listRoutes().then((routes) => compareWith(openApiDocument(routes, '') as unknown as ApiDocument))
  const difference = (await compare)(options.method, url, reply)
  if (difference !== undefined) throw new Error(difference)
  return reply
}

/** Sends a request and reads the whole answer. */
export async function send(url: string, options: Parameters<typeof request>[1]): Promise<Reply> {
  const { statusCode, headers, body } = await request(url, { dispatcher: connections, ...options })
  const isBinary = /eventstream/.test(String(headers['content-type']))
  const text = Buffer.from(await body.arrayBuffer()).toString(isBinary ? 'latin1' : 'utf8')
  return {
    status: statusCode,
    headers: headers as Record<string, string>,
    text,
    json: () => JSON.parse(text) as Json,
  }
}

/** Waits until `is` holds, looking every few ms; fails after a minute. For changes without an event. */
export async function until(is: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await is()); await sleep(5)) {
    if (Date.now() > deadline) throw new Error(`${what}: not within a minute`)
  }
}

const pricesOf = (prices: Json, providers: readonly string[]): Json =>
  Object.assign(
    {},
    prices,
    ...Object.entries(prices).flatMap(([model, price]) => providers.map((name) => ({ [`${name}/${model}`]: price }))),
  ) as Json

/** A database that nothing has happened on. It is migrated once in a process: each file of its own would be for a fifth of a test. */
let untouched: string | undefined

function untouchedDatabase(): string {
  if (untouched) return untouched
  untouched = join(folderInMemory(), 'state.db')
  openStore({ path: untouched }).close()
  return untouched
}

/** As "iron-cage models trust" leaves it. */
function trustProviders({ db, providers }: Config): void {
  mkdirSync(dirname(db.path), { recursive: true })
  copyFileSync(untouchedDatabase(), db.path)
  const database = new Sqlite(db.path)
  database.pragma('synchronous = OFF')
  const insert = database.prepare('INSERT INTO meta (key, value) VALUES (?, ?)')
  const insertAll = database.transaction(() => {
    for (const [name, { base_url }] of Object.entries(providers)) {
      const entry = { name, address: new URL(base_url!).href, state: 'trusted', factor: 1, overrun: null, fields: [] }
      insert.run(`trust.${name}`, JSON.stringify({ ...entry, since: '2026-01-01T00:00:00.000Z' }))
    }
  })
  insertAll()
  database.close()
}
