/** The content of a call, as a conversation with its tool calls; redactions are marked. For admins, on request only. */
import { useSignal } from '@preact/signals'
import type { CallContent, Part, Turn } from '../../src/core/call-content.ts'
import { Marked } from '../parts/marked.tsx'
import { AdminAction } from '../parts/parts.tsx'
import { send } from '../session.ts'
import './call-content.css'

export function CallContentSection({ id }: { id: string }) {
  const content = useSignal<CallContent | null>(null)
  const load = async () => {
    content.value = await send<CallContent>('GET', `/api/calls/${encodeURIComponent(id)}/content`)
  }
  const { value } = content
  if (value === null) {
    return (
      <p class="content-offer">
        <AdminAction label="Show prompt and reply" act={load} />
        <span class="dim">Reading it is recorded in the audit log.</span>
      </p>
    )
  }
  return (
    <section class="conversation" aria-label="Prompt and reply">
      {value.cut && <p class="dim">Part of it was too large to keep.</p>}
      {[...value.request, ...value.reply].map((turn, index) => (
        <TurnView key={index} turn={turn} isReply={index >= value.request.length} />
      ))}
    </section>
  )
}

const TurnView = ({ turn: { role, parts }, isReply }: { turn: Turn; isReply: boolean }) => (
  <article class={`turn ${isReply ? 'reply' : ''}`}>
    <h3>{isReply ? `${role} (reply)` : role}</h3>
    {parts.map((part, index) => (
      <PartView key={index} part={part} />
    ))}
  </article>
)

const LABELS: Partial<Record<Part['kind'], string>> = {
  reasoning: 'reasoning',
  tool_call: 'calls',
  tool_result: 'result',
}

const PartView = ({ part: { kind, name, text } }: { part: Part }) => (
  <div class={`part ${kind}`}>
    {LABELS[kind] && (
      <b class="mono">
        {LABELS[kind]} {name}
      </b>
    )}
    <Marked text={text} />
  </div>
)
