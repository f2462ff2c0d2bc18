/** The frame of every page with a header. */
import type { ComponentChildren } from 'preact'
import { Mark } from './parts.tsx'
import './shell.css'

/** `class`: further ones. */
export const Shell = ({ class: others, children }: { class: string; children: ComponentChildren }) => (
  <div class={`app ${others}`}>{children}</div>
)

/** `home`: the content of the first page, for a screen reader. */
export const Top = ({ title, home, children }: { title: string; home: string; children: ComponentChildren }) => (
  <header class="top">
    <a class="home" href="#/" aria-label={`${title}: ${home}`}>
      <Mark />
      <h1>{title}</h1>
    </a>
    {children}
  </header>
)
