/** The page of an agent's report: the server's document, unchanged, below a row of buttons. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { agentAddress } from '../address.ts'
import { download } from '../download.ts'
import { Page } from '../parts/page.tsx'
import { Action, Empty, Fault, faultText } from '../parts/parts.tsx'
import { isAdmin, read, send } from '../session.ts'
import { ReportLinks } from './report-links.tsx'

/** The agent in the address of this page; undefined on any other page. */
export const reportedAgent = (): string | undefined => /^\/reports\/([\w-]+)$/.exec(location.pathname)?.[1]

/** True on the page of a shared report. */
export const isShared = (): boolean => location.pathname === '/shared'

export function ReportPage({ agentId }: { agentId: string }) {
  const place = useRef<HTMLDivElement>(null)
  const isSharing = useSignal(false)
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
          {isAdmin.value && (
            <button
              type="button"
              class="btn"
              aria-expanded={isSharing.value}
              onClick={() => (isSharing.value = !isSharing.value)}
            >
              Share
            </button>
          )}
        </>
      }
    >
      {isSharing.value && <ReportLinks path={`${path}/links`} />}
      <Fault text={fault.value} />
      <div ref={place} />
    </Page>
  )
}

/** The report of the link in the address: its token is behind the `#`, which no server and no proxy gets to see. */
export function SharedReport() {
  const place = useRef<HTMLDivElement>(null)
  const fault = useSignal<string | null>(null)
  const load = async () => {
    const headers = { authorization: `Bearer ${location.hash.slice(1)}` }
    try {
      show(place.current!, await read<string>(await fetch('/api/shared-report', { headers })))
    } catch (error) {
      fault.value = faultText(error)
    }
  }
  useEffect(() => void load(), [])
  return (
    <main class="page report-page">
      {fault.value && (
        <Empty title="No report">
          <p role="alert">{fault.value}</p>
        </Empty>
      )}
      <div ref={place} />
    </main>
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
