import type { PiiType } from '../events.ts'

/** Something found in a text: half-open UTF-16 offsets. */
export interface Match {
  type: PiiType
  start: number
  end: number
}
