/** The dependencies of a call. */
import type { Incidents } from '../redaction/incidents.ts'
import type { Redactor } from '../redaction/redactor.ts'
import type { BodyMemory } from './bodies/held-bytes.ts'
import type { LargeBodies } from './bodies/large-bodies.ts'
import type { Meter } from './charging/priced-call.ts'
import type { UnchargedCalls } from './charging/uncharged.ts'
import type { LoopDetector } from './limits/loop-detector.ts'
import type { ToolLimits } from './limits/tool-limits.ts'
import type { Sender } from './provider/send.ts'
import type { Upstream } from './provider/upstream.ts'
import type { SealedOriginals } from './redaction/sealed-originals.ts'
import type { Contents } from './replies/contents.ts'

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
