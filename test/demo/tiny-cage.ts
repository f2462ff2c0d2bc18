/**
 * As much of a cage as the demo's agent needs, in memory: the run API, the gateway to the world, prices, one circuit, one
 * cache. With it the agent and the world are tested by themselves, and the agent can be killed at an exact step.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type Lead, linkedinProfile, linkedinRequest, type World } from '../../demo/world.ts'
import { add, type Nanodollars, nanodollars, subtract, toUsd, ZERO_NANOS } from '../../src/core/money.ts'
import { dollars } from '../support/money.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Picodollars a token: of the prompt, of the reply. */
const PRICES: Record<string, [number, number]> = {
  'gpt-4': [30_000_000, 60_000_000],
  'gpt-3.5-turbo': [500_000, 1_500_000],
}
const COST_OF_SERVICE: Record<string, string> = { linkedin_api: '0.1', clearbit_api: '0.01' }
const BASE_OF_SERVICE: Record<string, string> = { linkedin_api: '/linkedin', clearbit_api: '/clearbit' }
const ATTEMPTS = 5

export interface Outcome {
  outcome: string
  degraded: boolean
  label: string
  latency_ms: number
  reason?: string
}

interface Progress {
  done: number
  total: number
  unit: string
  label: string | null
}

export class TinyCage {
  spent = ZERO_NANOS
  /** The spending after so many leads. */
  readonly spentAt = new Map<number, Nanodollars>()
  readonly outcomes: Outcome[] = []
  readonly progress: Progress[] = []
  readonly fallbacks: string[] = []
  /** The text of every prompt. */
  readonly prompts: string[] = []
  blocked = 0
  /** The spending at the moment the warning was due. */
  warnedAt: Nanodollars | null = null
  checkpoints = 0
  /** Called after a checkpoint is kept and before the agent gets the answer. */
  onCheckpoint: (count: number) => void = () => {}
  readonly url: string
  readonly #world: World
  readonly #cache: Map<string, object>
  readonly #server
  #checkpoint: unknown
  #open = false

  private constructor(world: World, leads: readonly Lead[], server: ReturnType<typeof createServer>) {
    this.#world = world
    this.#cache = new Map(leads.map((lead) => [linkedinRequest(lead), linkedinProfile(lead)]))
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  static async open(world: World, leads: readonly Lead[]): Promise<TinyCage> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const cage = new TinyCage(world, leads, server)
    server.on('request', (request, response) => {
      cage.#answer(request, response).catch((error: Error) => response.destroy(error))
    })
    return cage
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  /** Starts the demo's agent inside this cage. */
  startAgent(python = 'python3'): ChildProcess {
    return spawn(python, [`${root}demo/lead_gen_agent.py`], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        PYTHONPATH: `${root}python/shim`,
        IRON_CAGE_URL: this.url,
        IRON_CAGE_TOKEN: 'run-token',
        OPENAI_BASE_URL: `${this.url}/gateway/run-token/openai/v1`,
        OPENAI_API_KEY: 'sk-demo',
        DEMO_PACE_MS: '0',
      },
    })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const url = request.url ?? ''
    const send = (status: number, body?: object, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(body && JSON.stringify(body))
    }
    if (url.startsWith('/gateway/')) {
      const { status, body, headers } = await this.#pass(url.replace('/gateway/run-token', ''), text)
      return send(status, body, headers)
    }
    const route = `${request.method} ${url.replace('/api/run', '')}`
    const body = text ? JSON.parse(text) : undefined
    if (route === 'GET ') {
      const held_usd = '0'
      const remaining_usd = toUsd(subtract(dollars('50'), this.spent))
      const used_percent = this.spent / dollars('0.5')
      const spent_usd = toUsd(this.spent)
      const warned = this.warnedAt !== null
      return send(200, { budget: { limit_usd: '50', spent_usd, held_usd, remaining_usd, used_percent, warned } })
    }
    if (route === 'GET /checkpoint') {
      return this.#checkpoint
        ? send(200, { version: this.checkpoints, data: this.#checkpoint })
        : send(404, { error: { code: 'not_found', message: 'no checkpoint' } })
    }
    if (route === 'PUT /checkpoint') {
      this.#checkpoint = body.data
      this.onCheckpoint(++this.checkpoints)
      return send(200, { version: this.checkpoints })
    }
    if (route === 'POST /outcomes') {
      this.outcomes.push(body)
      return send(204)
    }
    if (route === 'POST /progress') {
      this.progress.push(body)
      this.spentAt.set(body.done, this.spent)
      return send(204)
    }
    return send(404, { error: { code: 'not_found', message: route } })
  }

  async #pass(path: string, text: string): Promise<{ status: number; body: object; headers?: Record<string, string> }> {
    if (path.startsWith('/openai/')) {
      const { messages } = JSON.parse(text) as { messages: { content: string }[] }
      this.prompts.push(messages.map(({ content }) => content).join('\n'))
      const { status, body } = await this.#ask(path, text)
      const { prompt_tokens, completion_tokens } = (body as { usage: Record<string, number> }).usage
      const [input, output] = PRICES[(body as { model: string }).model]!
      this.#charge(nanodollars((prompt_tokens! * input + completion_tokens! * output) / 1000))
      return { status, body }
    }
    const [, service = '', rest = ''] = /^\/services\/(\w+)(.*)$/.exec(path) ?? []
    if (this.#open && service === 'linkedin_api') this.blocked++
    for (let attempt = 1; attempt <= ATTEMPTS && !(this.#open && service === 'linkedin_api'); attempt++) {
      const { status, body } = await this.#ask(`${BASE_OF_SERVICE[service]}${rest}`)
      if (status < 400) {
        this.#charge(dollars(COST_OF_SERVICE[service]!))
        return { status, body, headers: { 'x-iron-cage-tier': '1' } }
      }
      this.#open = attempt === ATTEMPTS
    }
    this.fallbacks.push(rest)
    return { status: 200, body: this.#cache.get(rest) ?? {}, headers: { 'x-iron-cage-tier': '2' } }
  }

  async #ask(path: string, body?: string): Promise<{ status: number; body: object }> {
    const answer = await fetch(this.#world.url + path, body === undefined ? {} : { method: 'POST', body })
    return { status: answer.status, body: (await answer.json()) as object }
  }

  #charge(nanos: Nanodollars): void {
    this.spent = add(this.spent, nanos)
    if (this.spent >= dollars('45')) this.warnedAt ??= this.spent
  }
}
