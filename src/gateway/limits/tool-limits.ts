/**
 * Limits how often a run may call tools, those of MCP servers included: the calls that its requests show are counted,
 * each once. Above a limit no request is sent, so the model can call no further tool.
 */
import { isMatch } from '../../budget/prices.ts'
import type { Config } from '../../config/schema.ts'
import { CageError } from '../../core/errors.ts'
import type { Scrub } from '../../state/clean.ts'
import type { LlmCall } from '../call.ts'

/** Runs that are remembered: the latest. */
const MAX_RUNS = 1_000
/** Calls of one run that are told apart. Above this, a call that comes again counts again. */
const MAX_SEEN = 10_000

interface Counted {
  seen: Set<string>
  total: number
  /** By the name in `per_tool`. */
  named: Map<string, number>
}

export class ToolLimits {
  readonly #limits: Config['budget']['tools']
  readonly #scrub: Scrub
  readonly #isOn: boolean
  readonly #runs = new Map<string, Counted>()

  constructor(limits: Config['budget']['tools'], scrub: Scrub) {
    this.#limits = limits
    this.#scrub = scrub
    this.#isOn = limits.max_calls !== undefined || Object.keys(limits.per_tool).length > 0
  }

  /** Throws CageError `tool_limit`. */
  check({ caller: { agentId, runId }, repeats: { toolCalls } }: LlmCall): void {
    if (!this.#isOn) return
    const run = this.#countedOf(runId ?? agentId)
    for (const { id, name } of toolCalls) {
      if (run.seen.has(id)) continue
      if (run.seen.size < MAX_SEEN) run.seen.add(id)
      run.total += 1
      const key = name === null ? undefined : this.#keyOf(name)
      if (key !== undefined) run.named.set(key, (run.named.get(key) ?? 0) + 1)
    }
    const { max_calls: max, per_tool: perTool } = this.#limits
    if (max !== undefined && run.total > max) throw this.#refusal(agentId, 'tools', run.total, max)
    for (const [key, times] of run.named) {
      if (times > perTool[key]!) throw this.#refusal(agentId, key, times, perTool[key]!)
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

  /** The latest runs are at the end. */
  #countedOf(key: string): Counted {
    const counted = this.#runs.get(key) ?? { seen: new Set(), total: 0, named: new Map() }
    this.#runs.delete(key)
    this.#runs.set(key, counted)
    const [oldest] = this.#runs.keys()
    if (this.#runs.size > MAX_RUNS && oldest !== undefined) this.#runs.delete(oldest)
    return counted
  }
}
