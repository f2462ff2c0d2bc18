/** What the list of calls and the detail of one show alike. */
import { type ShownCall, tokensOf } from '../../src/state/call-view.ts'
import { showCount, showName } from '../../src/units.ts'
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

export function tokensText(call: ShownCall): string {
  const tokens = tokensOf(call)
  return tokens ? `${showCount(tokens.input)} / ${showCount(tokens.output)}` : ''
}

/** From its hold to its end, waits included; null while it runs. */
export const tookMs = ({ started_at, ended_at, kind }: ShownCall): number | null =>
  ended_at === null || kind === 'correction' ? null : Date.parse(ended_at) - Date.parse(started_at)
