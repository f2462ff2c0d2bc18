/** An agent that is deployed: its record on the disk, and how it is asked and called. */

import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { CageError } from '../../core/errors.ts'
import type { RunInterface } from '../../deploy/strategy.ts'

/** `deployment.json` in the folder of the deployment. */
export interface Deployment {
  name: string
  strategy: string
  script: string
  agent_id: string
  /** Where it answers, without a path. */
  address: string
  run_interface: RunInterface
  /** ISO 8601. */
  started_at: string
}

/** Longest wait for the answer to a health check, in ms. */
const HEALTH_TIMEOUT_MS = 2_000
/** Interval between health checks while an agent starts, in ms. */
const POLL_MS = 250
/** Longest wait for the reply to a call, in ms. */
const CALL_TIMEOUT_MS = 600_000

/** The deployments of the servers on one database, below `.iron-cage/deploy/` beside it. */
export class Deployments {
  readonly #folder: string

  constructor(database: string) {
    this.#folder = join(dirname(database), '.iron-cage', 'deploy')
  }

  folderOf(name: string): string {
    return join(this.#folder, name)
  }

  list(): Deployment[] {
    if (!existsSync(this.#folder)) return []
    return readdirSync(this.#folder)
      .sort()
      .flatMap((name) => this.#read(name) ?? [])
  }

  /** Throws CageError `not_found`. */
  require(name: string): Deployment {
    const found = this.#read(name)
    if (found) return found
    const names = this.list().map((deployment) => deployment.name)
    throw new CageError('not_found', `nothing is deployed as "${name}"`, {
      hint: names.length > 0 ? `deployed: ${names.join(', ')}` : 'deploy an agent with "iron-cage deploy up agent.py"',
    })
  }

  save(deployment: Deployment): void {
    const folder = this.folderOf(deployment.name)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, RECORD), `${JSON.stringify(deployment, null, 2)}\n`)
  }

  forget(name: string): void {
    rmSync(join(this.folderOf(name), RECORD), { force: true })
  }

  /** True when the agent answers its health path. Never rejects. */
  async isHealthy({ address, run_interface }: Pick<Deployment, 'address' | 'run_interface'>): Promise<boolean> {
    try {
      const response = await fetch(address + run_interface.health, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) })
      await response.body?.cancel()
      return response.ok
    } catch {
      return false
    }
  }

  /** Resolves with true when the agent can be called, with false when `ended` resolves first. */
  async whenHealthy(
    deployment: Pick<Deployment, 'address' | 'run_interface'>,
    ended: Promise<unknown>,
  ): Promise<boolean> {
    let hasEnded = false
    void ended.then(() => {
      hasEnded = true
    })
    while (!hasEnded) {
      if (await this.isHealthy(deployment)) return true
      await wait(POLL_MS)
    }
    return false
  }

  /** Calls the agent and returns its output. Throws CageError `deployment_unreachable` or `deployment_failed`. */
  async call({ name, address, run_interface: how }: Deployment, inputs: unknown): Promise<unknown> {
    const response = await fetch(address + how.call, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(withInputs(how.body, inputs)),
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    }).catch((cause: unknown) => {
      throw new CageError('deployment_unreachable', `${name} does not answer at ${address}`, { cause })
    })
    const text = await response.text()
    const reply = asJson(text)
    if (!response.ok)
      throw new CageError('deployment_failed', `${name} answered ${response.status}: ${reasonOf(reply, text)}`)
    return how.output === '' ? reply : how.output.split('.').reduce<unknown>(fieldOf, reply)
  }

  #read(name: string): Deployment | undefined {
    try {
      return JSON.parse(readFileSync(join(this.folderOf(name), RECORD), 'utf8')) as Deployment
    } catch {
      return undefined
    }
  }
}

const RECORD = 'deployment.json'

/** The text "{inputs}" of a body, wherever it is, becomes the inputs. */
function withInputs(body: unknown, inputs: unknown): unknown {
  if (body === '{inputs}') return inputs
  if (Array.isArray(body)) return body.map((item) => withInputs(item, inputs))
  if (typeof body !== 'object' || body === null) return body
  return Object.fromEntries(Object.entries(body).map(([name, value]) => [name, withInputs(value, inputs)]))
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined

/** The reason of an error reply: `error.message`, else `error`, else the first line of the text. */
function reasonOf(reply: unknown, text: string): string {
  const error = fieldOf(reply, 'error')
  const message = fieldOf(error, 'message') ?? error
  return typeof message === 'string' ? message : (text.split('\n')[0] ?? '').slice(0, 200)
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** A port of this machine without a listener now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
