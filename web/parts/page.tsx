import type { ComponentChildren } from 'preact'
import './page.css'

/** A page of its own, with a link back to the dashboard. */
export const Page = (props: {
  class: string
  title?: ComponentChildren
  /** Where the link back leads; null for none. (Default: all agents.) */
  back?: string | null
  actions?: ComponentChildren
  children: ComponentChildren
}) => (
  <div class={`page ${props.class}`}>
    <header class="top">
      {props.back !== null && (
        <a class="btn ghost" href={props.back ?? '#/'}>
          ← Dashboard
        </a>
      )}
      {props.title && <h1>{props.title}</h1>}
      <span class="space" />
      {props.actions}
    </header>
    <main>{props.children}</main>
  </div>
)
