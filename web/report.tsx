/** The page of an agent's report: the server's document, unchanged, below a row of buttons. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { agentAddress } from './address.ts'
import { Action, faultText } from './parts/parts.tsx'
import { send } from './session.ts'

/** The agent in the address of this page; undefined on any other page. */
export const reportedAgent = (): string | undefined => /^\/reports\/([\w-]+)$/.exec(location.pathname)?.[1]

export function ReportPage({ agentId }: { agentId: string }) {
  const place = useRef<HTMLDivElement>(null)
  const fault = useSignal<string | null>(null)
  const path = `/api/agents/${encodeURIComponent(agentId)}/report`
  const load = async () => {
    fault.value = null
    try {
      show(place.current!, await send<string>('GET', `${path}?format=html`))
    } catch (error) {
      fault.value = faultText(error)
    }
  }
  useEffect(() => void load(), [agentId])
  return (
    <div class="report-page">
      <header class="top">
        <a class="btn ghost" href={`/${agentAddress(agentId)}`}>
          ← Dashboard
        </a>
        <span class="space" />
        <Action label="Refresh" kind="ghost" act={load} />
        <Action label="CSV" kind="ghost" act={() => download(path, 'csv', agentId)} />
        <Action label="JSON" kind="ghost" act={() => download(path, 'json', agentId)} />
        <button type="button" class="btn" onClick={() => print()}>
          Print
        </button>
      </header>
      {fault.value && (
        <p class="fault" role="alert">
          {fault.value}
        </p>
      )}
      <div ref={place} class="document" />
    </div>
  )
}

/** In a shadow tree with the document's own style: the content security policy allows sheets that a script creates. */
function show(place: HTMLElement, text: string): void {
  const [whole = '', style = ''] = /<style>([\s\S]*?)<\/style>/.exec(text) ?? []
  const document = new DOMParser().parseFromString(text.replace(whole, ''), 'text/html')
  const root = place.shadowRoot ?? place.attachShadow({ mode: 'open' })
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(style)
  root.adoptedStyleSheets = [sheet]
  root.replaceChildren(...document.body.children)
}

async function download(path: string, format: 'csv' | 'json', agentId: string): Promise<void> {
  const answer = await send<unknown>('GET', `${path}?format=${format}`)
  const text = typeof answer === 'string' ? answer : JSON.stringify(answer, null, 2)
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text]))
  link.download = `${agentId}.${format}`
  link.click()
  URL.revokeObjectURL(link.href)
}
