/** The dependencies of a call. */
import type { Incidents } from '../redaction/incidents.ts'
import type { Redactor } from '../redaction/redactor.ts'
import type { BodyMemory } from './bodies/held-bytes.ts'
import type { LargeBodies } from './bodies/large-bodies.ts'
import type { Contents } from './contents.ts'
import type { LoopDetector } from './loop-detector.ts'
import type { Meter } from './priced-call.ts'
import type { SealedOriginals } from './sealed-originals.ts'
import type { Sender } from './send.ts'
import type { ToolLimits } from './tool-limits.ts'
import type { UnchargedCalls } from './uncharged.ts'
import type { Upstream } from './upstream.ts'

export interface Road extends Meter {
  redaction: Redaction
  sender: Sender
  upstream: Upstream
  uncharged: UnchargedCalls
  contents: Contents
  loops: LoopDetector
  tools: ToolLimits
  /** Answers calls instead of a dearer model once the agent's budget has warned. (Default: none.) */
  cheaper: { provider: string; model: string } | undefined
}

/** What requests and responses are redacted with. */
export interface Redaction {
  redactor: Redactor
  incidents: Incidents
  originals: SealedOriginals
  /** Threads for large bodies. */
  large: LargeBodies
  /** Room for large bodies. */
  memory: BodyMemory
}
