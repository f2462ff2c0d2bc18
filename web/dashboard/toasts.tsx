import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import { nameOf } from '../names.ts'
import { AlertActions, TONES } from '../panels/notifications.tsx'
import { agentOf, circuits, dismiss, fresh } from '../store.ts'
import './toasts.css'

/** Toasts that are not critical disappear after this time. */
const TOAST_MS = 8_000

/** New alerts, newest first. Never takes the focus; critical ones stay until they are closed. */
export function Toasts() {
  const [alert, ...others] = fresh.value
  return (
    <div class="toasts" role="log" aria-label="New notifications">
      {alert && (
        <Toast key={alert.id} id={alert.id} tone={TONES[alert.level]!} stays={alert.level === 'CRIT'}>
          <b>{alert.title}</b>
          {alert.agent_id !== null && <span class="dim"> · {nameOf(alert.agent_id)}</span>}
          <p>{alert.detail}</p>
          <div class="buttons">
            <AlertActions alert={alert} agent={agentOf(alert)} circuits={circuits.value} />
            <span class="space" />
            {others.length > 0 && <span class="dim">{others.length} more</span>}
            <button type="button" class="btn ghost" onClick={() => dismiss(alert.id)}>
              Close
            </button>
          </div>
        </Toast>
      )}
    </div>
  )
}

function Toast(props: { id: string; tone: string; stays: boolean; children: ComponentChildren }) {
  const { id, tone, stays, children } = props
  useEffect(() => {
    if (stays) return
    const timer = setTimeout(() => dismiss(id), TOAST_MS)
    return () => clearTimeout(timer)
  }, [id, stays])
  return <article class={`note toast ${tone}`}>{children}</article>
}
