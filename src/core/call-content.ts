/** The kept content of a call, as the API answers it and people see it. Free of Node. */
import type { CallId } from './id-types.ts'

/** One speaker's part of a conversation. */
export interface Turn {
  /** Such as "system", "user", "assistant". */
  role: string
  parts: Part[]
}

export interface Part {
  kind: 'text' | 'reasoning' | 'tool_call' | 'tool_result' | 'other'
  /** Of the tool. */
  name?: string | undefined
  /** Redacted. */
  text: string
}

/** The response of `GET /api/calls/:id/content`. */
export interface CallContent {
  call_id: CallId
  at: string
  /** The sent messages; empty when they were too large to keep. */
  request: Turn[]
  /** The received messages; empty without a reply. */
  reply: Turn[]
  /** Something was too large to keep. */
  cut: boolean
}
