/**
 * Limits how often a run may call tools, those of MCP servers included. Above a limit no request is sent, so the model
 * can call no further tool. The larger of two counts applies: the calls that replies ask for, which no agent can hide,
 * and those that requests show, because other servers may have asked for some.
 */
import { hash } from 'node:crypto'
import { isMatch } from '../../budget/prices.ts'
import type { Config } from '../../config/schema.ts'
import { CageError } from '../../core/errors.ts'
import type { Scrub } from '../../state/clean.ts'
import type { LlmCall } from '../call.ts'
import type { ToolCall } from './tool-calls.ts'

/** Runs that are remembered: the latest. */
const MAX_RUNS = 1_000
/** Calls of one run that are distinguished. Above this, a call that comes again counts again. */
const MAX_SEEN = 10_000

/** Times that tools were called. */
class Times {
  total = 0
  /** By the key in `per_tool`. */
  readonly named = new Map<string, number>()

  add(key: string | undefined, times = 1): void {
    this.total += times
    if (key !== undefined) this.named.set(key, (this.named.get(key) ?? 0) + times)
  }
}

interface Counted {
  asked: Times
  shown: Times
  /** How often a call was counted, by its id and arguments. */
  calls: Map<string, number>
  /** Ids of calls that were counted. */
  ids: Set<string>
  /** Requests without an answer yet. */
  open: Set<string>
}

export class ToolLimits {
  readonly #limits: Config['budget']['tools']
  readonly #scrub: Scrub
  /** Whether there is a limit. */
  readonly isOn: boolean
  readonly #runs = new Map<string, Counted>()

  constructor(limits: Config['budget']['tools'], scrub: Scrub) {
    this.#limits = limits
    this.#scrub = scrub
    this.isOn = limits.max_calls !== undefined || Object.keys(limits.per_tool).length > 0
  }

  /** Throws CageError `tool_limit`. */
  check(call: LlmCall): void {
    if (!this.isOn) return
    const run = this.#countedOf(call)
    this.#show(run, call)
    this.#requireWithin(run, call)
  }

  /** Counts the calls of these tools, which a reply asked for. Only where there is a limit. */
  asked(call: LlmCall, names: readonly string[]): void {
    const { asked } = this.#countedOf(call)
    for (const name of names) asked.add(this.#keyOf(name))
  }

  /** The client has its answer: when it shows the last calls once more, they ran once more. */
  answered(call: LlmCall): void {
    if (this.isOn) this.#countedOf(call).open.delete(call.repeats.fingerprint)
  }

  /** A call without an id is known by its place alone: what ran since the model last spoke is new, unless sent again. */
  #show(run: Counted, { repeats: { fingerprint, tools } }: LlmCall): void {
    const fresh = run.open.has(fingerprint) ? [] : tools.calls.slice(tools.calls.length - tools.fresh)
    remember(run.open, fingerprint)
    const ran = timesOf(fresh.filter(({ id }) => id === undefined))
    for (const [key, { name, times }] of timesOf(tools.calls)) {
      const counted = run.calls.get(key) ?? 0
      const more = Math.max(times - counted, ran.get(key)?.times ?? 0)
      if (more === 0) continue
      if (counted > 0 || run.calls.size < MAX_SEEN) run.calls.set(key, counted + more)
      run.shown.add(this.#keyOf(name), more)
    }
    for (const { id } of tools.calls) if (id !== undefined) remember(run.ids, id)
    for (const id of tools.results) if (remember(run.ids, id)) run.shown.add(undefined)
  }

  #requireWithin({ asked, shown }: Counted, { caller: { agentId } }: LlmCall): void {
    const { max_calls: max, per_tool: perTool } = this.#limits
    const total = Math.max(asked.total, shown.total)
    if (max !== undefined && total > max) throw this.#refusal(agentId, 'tools', total, max)
    for (const [key, allowed] of Object.entries(perTool)) {
      const times = Math.max(asked.named.get(key) ?? 0, shown.named.get(key) ?? 0)
      if (times > allowed) throw this.#refusal(agentId, key, times, allowed)
    }
  }

  /** The longest key that means the tool. */
  #keyOf(name: string): string | undefined {
    return Object.keys(this.#limits.per_tool)
      .filter((key) => isMatch(key, name))
      .sort((a, b) => b.length - a.length)[0]
  }

  #refusal(agentId: string, what: string, times: number, max: number): CageError {
    const tool = this.#scrub(what)
    return new CageError(
      'tool_limit',
      `this run called ${tool} ${times} times, and ${max} are allowed, so it was not sent`,
      {
        facts: { agent_id: agentId, tool, calls: times, max_calls: max },
      },
    )
  }

  /** Parts of a run count together with it. The latest runs are at the end. */
  #countedOf({ caller: { agentId, runId, partOf } }: LlmCall): Counted {
    const key = partOf ?? runId ?? agentId
    const counted = this.#runs.get(key) ?? newCounted()
    this.#runs.delete(key)
    this.#runs.set(key, counted)
    const [oldest] = this.#runs.keys()
    if (this.#runs.size > MAX_RUNS && oldest !== undefined) this.#runs.delete(oldest)
    return counted
  }
}

const newCounted = (): Counted => ({
  asked: new Times(),
  shown: new Times(),
  calls: new Map(),
  ids: new Set(),
  open: new Set(),
})

/** How often each call is among these, by its id and arguments. */
function timesOf(calls: readonly ToolCall[]): Map<string, { name: string; times: number }> {
  const counted = new Map<string, { name: string; times: number }>()
  for (const { id = '', name, text } of calls) {
    const key = text.length > MAX_KEY ? `${id} ${hash('sha1', text, 'base64')}` : `${id} ${text}`
    counted.set(key, { name, times: (counted.get(key)?.times ?? 0) + 1 })
  }
  return counted
}

/** In characters: shorter arguments are not worth a hash. */
const MAX_KEY = 120

/** Adds a value to those that are remembered; returns whether it was new. The oldest is forgotten. */
function remember(values: Set<string>, value: string): boolean {
  if (values.has(value)) return false
  values.add(value)
  const [oldest] = values
  if (values.size > MAX_SEEN && oldest !== undefined) values.delete(oldest)
  return true
}
