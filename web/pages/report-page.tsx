/** The page of an agent's report: the server's document, unchanged, below a row of buttons. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { agentAddress } from '../address.ts'
import { download } from '../download.ts'
import { Page } from '../parts/page.tsx'
import { Action, Fault, faultText } from '../parts/parts.tsx'
import { send } from '../session.ts'

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
    <Page
      class="report-page"
      back={`/${agentAddress(agentId)}`}
      actions={
        <>
          <Action label="Refresh" kind="ghost" act={load} />
          <Action label="CSV" kind="ghost" act={() => download(`${path}?format=csv`, `${agentId}.csv`)} />
          <Action label="JSON" kind="ghost" act={() => download(`${path}?format=json`, `${agentId}.json`)} />
          <button type="button" class="btn" onClick={() => print()}>
            Print
          </button>
        </>
      }
    >
      <Fault text={fault.value} />
      <div ref={place} />
    </Page>
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
