/** A table in a box that scrolls. */
import type { ComponentChildren } from 'preact'

export interface TableProps {
  label: string
  /** Title and class of each column: `figure` is aligned right, `wide` shown on wide screens only. */
  columns: Readonly<Record<string, '' | 'figure' | 'wide' | 'wide figure'>>
  class?: string
  /** The rows, or bodies of rows. */
  children: ComponentChildren
  /** Below the table, in the same box. */
  after?: ComponentChildren
}

export const Table = (props: TableProps) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
  <section class="scroll" tabIndex={0} aria-label={props.label}>
    <table class={`list ${props.class ?? ''}`}>
      <thead>
        <tr>
          {Object.entries(props.columns).map(([title, name]) => (
            <th key={title} class={name}>
              {title}
            </th>
          ))}
        </tr>
      </thead>
      {props.children}
    </table>
    {props.after}
  </section>
)
