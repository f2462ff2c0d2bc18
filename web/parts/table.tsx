/** A table in a box that scrolls. */
import type { ComponentChildren } from 'preact'
import './table.css'

export interface TableProps {
  label: string
  /** Title and class of each column: `figure` is aligned right, `wide` shown on wide screens only. */
  columns: Readonly<Record<string, '' | 'figure' | 'wide' | 'wide figure'>>
  class?: string
  /** On a phone each row is a card, with every column: nothing is scrolled sideways. (Default: no, `wide` ones are left out.) */
  cards?: boolean
  /** The rows, or bodies of rows. */
  children: ComponentChildren
  /** Below the table, in the same box. */
  after?: ComponentChildren
}

export const Table = (props: TableProps) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
  <section class="scroll" tabIndex={0} aria-label={props.label}>
    <table
      class={`list ${props.class ?? ''} ${props.cards ? 'cards' : ''}`}
      style={props.cards ? titlesOf(props.columns) : undefined}
    >
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

/** For the stylesheet, which names the facts of a card by the titles of their columns. */
const titlesOf = (columns: TableProps['columns']): Record<string, string> =>
  Object.fromEntries(Object.keys(columns).map((title, index) => [`--title-${index + 1}`, JSON.stringify(title)]))
