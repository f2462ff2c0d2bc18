import type { PiiType, SafetyMode } from '../../core/events.ts'
import type { Risk } from '../../core/pii-types.ts'

/** A match in a text: half-open offsets in UTF-16 code units. */
export interface Match {
  type: PiiType
  start: number
  end: number
}

export interface PiiSpan extends Match {
  risk: Risk
}

export interface Finding extends PiiSpan {
  /** The matched text, at most MAX_VALUE characters of it. */
  value: string
  action: SafetyMode
  /** What replaces the value in the text, unless the action is 'warn'. */
  replacement: string
}
