import type { PiiType, SafetyMode } from '../events.ts'
import type { Risk } from '../pii-types.ts'

/** Something found in a text: half-open offsets in UTF-16 code units. */
export interface Match {
  type: PiiType
  start: number
  end: number
}

export interface PiiSpan extends Match {
  risk: Risk
}

export interface Finding extends PiiSpan {
  /** What was found, at most VALUE_MAX characters of it. */
  value: string
  action: SafetyMode
  /** What the text shows in place of the value, unless the action is 'warn'. */
  replacement: string
}
