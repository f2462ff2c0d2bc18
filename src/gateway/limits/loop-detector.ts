/**
 * Notices agents that go round in circles: the same call again and again, or a tool called with the same arguments each
 * time. A repetition is reported once; with `refuse`, calls are refused until something changes.
 */
import type { Config } from '../../config/schema.ts'
import { CageError } from '../../core/errors.ts'
import type { AgentId } from '../../core/ids.ts'
import type { Scrub } from '../../state/clean.ts'
import type { StateManager } from '../../state/state-manager.ts'
import type { LlmCall } from '../call.ts'

/** Calls of an agent that are remembered, so that what runs beside a loop does not hide it. */
const MAX_REMEMBERED = 64
/** Agents that are remembered: the latest. */
const MAX_AGENTS = 1_000

interface Memory {
  /** The last MAX_REMEMBERED, in any order. */
  fingerprints: string[]
  calls: number
  /** Reported loops, until they end. */
  reported: string | undefined
}

interface Loop {
  /** Equal for the same repetition. */
  key: string
  tool: string | null
  times: number
}

export class LoopDetector {
  readonly #settings: Config['budget']['loops']
  readonly #state: StateManager
  readonly #scrub: Scrub
  readonly #agents = new Map<AgentId, Memory>()
  #latest: { agentId: AgentId; memory: Memory } | undefined

  constructor(settings: Config['budget']['loops'], { state, scrub }: { state: StateManager; scrub: Scrub }) {
    this.#settings = settings
    this.#state = state
    this.#scrub = scrub
  }

  /** Throws CageError `loop_detected` when such calls are refused. */
  check(call: LlmCall): void {
    const memory = this.#memoryOf(call.caller.agentId)
    const loop = this.#loopOf(call, memory)
    if (loop && memory.reported !== loop.key) this.#report(call, loop)
    memory.reported = loop?.key
    if (loop && this.#settings.action === 'refuse') throw refusal(call, this.#messageOf(call, loop))
  }

  #loopOf({ repeats: { fingerprint, tool } }: LlmCall, memory: Memory): Loop | undefined {
    const { repeats } = this.#settings
    const { fingerprints } = memory
    fingerprints[memory.calls++ % MAX_REMEMBERED] = fingerprint
    if (tool && tool.times >= repeats) return { key: `tool ${tool.name}`, tool: tool.name, times: tool.times }
    let times = 0
    for (const one of fingerprints) if (one === fingerprint) times++
    return times >= repeats ? { key: fingerprint, tool: null, times } : undefined
  }

  #report(call: LlmCall, loop: Loop): void {
    const { id, provider, caller } = call
    this.#state.record({
      type: 'loop.detected',
      level: 'WARN',
      agent_id: caller.agentId,
      message: this.#messageOf(call, loop),
      data: {
        call_id: id,
        provider: provider.name,
        model: call.model,
        tool: loop.tool === null ? null : this.#scrub(loop.tool),
        times: loop.times,
        action: this.#settings.action,
      },
    })
  }

  #messageOf({ model }: LlmCall, { tool, times }: Loop): string {
    return tool === null
      ? `the same call to ${this.#scrub(model)} came ${times} times`
      : `the tool ${this.#scrub(tool)} was called ${times} times in a row with the same arguments`
  }

  /** The latest agents are at the end. */
  #memoryOf(agentId: AgentId): Memory {
    if (this.#latest?.agentId === agentId) return this.#latest.memory
    const memory = this.#agents.get(agentId) ?? { fingerprints: [], calls: 0, reported: undefined }
    this.#agents.delete(agentId)
    this.#agents.set(agentId, memory)
    const [oldest] = this.#agents.keys()
    if (this.#agents.size > MAX_AGENTS && oldest !== undefined) this.#agents.delete(oldest)
    this.#latest = { agentId, memory }
    return memory
  }
}

const refusal = ({ caller: { agentId } }: LlmCall, what: string): CageError =>
  new CageError('loop_detected', `${what}, so it was not sent`, { facts: { agent_id: agentId } })
