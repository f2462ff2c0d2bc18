/** Calls as the API answers them and people see them. Free of Node. */
import type { RuntimeEvent } from '../core/events.ts'
import type { AgentId, CallId, RunId } from '../core/id-types.ts'
import type { Usd } from '../core/money.ts'
import { showCount } from '../core/units.ts'

/** A row of the ledger, with amounts in US dollars. */
export interface ShownCall {
  id: CallId
  agent_id: AgentId
  run_id: RunId | null
  kind: 'llm' | 'service' | 'reported' | 'correction'
  /** Provider or service. */
  target: string
  model: string | null
  state: 'held' | 'charged' | 'released' | 'unresolved'
  held_usd: Usd
  cost_usd: Usd
  estimated: boolean
  /** The price of a token in picodollars, and the price list it is from. */
  price: unknown
  usage: unknown
  /** HTTP status. */
  status: number | null
  code: string | null
  started_at: string
  ended_at: string | null
  /** The call that a correction corrects, and why. */
  corrects: CallId | null
  reason: string | null
  /** The unit of work in progress when it started, such as "lead 67". */
  unit: string | null
}

/** The response of `GET /api/calls`. */
export interface FoundCalls {
  calls: ShownCall[]
  /** The `after` of the next page; null when this is the last one. */
  next: string | null
}

/** The response of `GET /api/calls/:id`. */
export interface CallDetail {
  call: ShownCall
  /** Its content is kept, for admins: `GET /api/calls/:id/content`. */
  has_content: boolean
  /** Newest first. */
  corrections: ShownCall[]
  /** Its events, oldest first; events are kept for a week. */
  events: RuntimeEvent[]
}

/** The tokens of an LLM call that ended; undefined for others. */
export function tokensOf({ usage }: Pick<ShownCall, 'usage'>): { input: number; output: number } | undefined {
  const { input, output } = (usage ?? {}) as { input?: unknown; output?: unknown }
  return typeof input === 'number' && typeof output === 'number' ? { input, output } : undefined
}

/** "1,200 / 85": in and out; empty without tokens. */
export function tokensText(call: Pick<ShownCall, 'usage'>): string {
  const tokens = tokensOf(call)
  return tokens ? `${showCount(tokens.input)} / ${showCount(tokens.output)}` : ''
}

/** From its hold to its end, in ms, waits included; null while it runs, and for a correction. */
export const tookMs = ({ started_at, ended_at, kind }: ShownCall): number | null =>
  ended_at === null || kind === 'correction' ? null : Date.parse(ended_at) - Date.parse(started_at)
