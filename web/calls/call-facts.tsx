/** The facts that the list of calls and the detail of one share. */

import { showName } from '../../src/core/units.ts'
import type { ShownCall } from '../../src/state/call-view.ts'
import { Tag, type Tone } from '../parts/parts.tsx'

/** A call that cost more than it could was answered all the same. */
const isFailed = ({ code }: ShownCall): boolean => code !== null && code !== 'overrun'

export function OutcomeTag({ call }: { call: ShownCall }) {
  const [tone, mark, word] = outcomeOf(call)
  return (
    <Tag tone={tone} mark={mark}>
      {word}
    </Tag>
  )
}

function outcomeOf(call: ShownCall): [Tone, string, string] {
  if (call.state === 'held') return ['info', '○', 'running']
  if (call.state === 'unresolved') return ['warn', '▲', 'unresolved']
  if (call.kind === 'correction') return ['info', '±', 'correction']
  if (isFailed(call)) return ['bad', '✖', showName(call.code!)]
  return ['ok', '✔', call.status === null ? 'answered' : String(call.status)]
}
