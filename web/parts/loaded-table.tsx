/**
 * A panel with a table of loaded rows: how many there are, a way to load them again, and what stands there while there
 * are none.
 */
import type { ComponentChildren } from 'preact'
import { showNumberOf } from '../../src/core/units.ts'
import { Action, Empty, Fault, Panel } from './parts.tsx'
import { Table, type TableProps } from './table.tsx'
import type { Loaded } from './use-loaded.ts'

export const LoadedTable = <Entry,>(
  props: Pick<TableProps, 'label' | 'columns'> &
    Pick<Loaded<unknown>, 'fault' | 'reload'> & {
      name: string
      title: string
      /** The name of one of them: "incident". */
      unit: string
      /** Undefined until they have arrived. */
      entries: readonly Entry[] | undefined
      /** There are older ones, which were not loaded. (Default: no.) */
      isCut?: boolean
      /** Its text while there are none. */
      empty: { title: string; children: ComponentChildren }
      /** Draws a row. */
      children: (entry: Entry, row: number) => ComponentChildren
    },
) => {
  const { entries } = props
  return (
    <Panel
      name={props.name}
      title={props.title}
      aside={
        <>
          {entries && (
            <span class="dim">
              {props.isCut && 'the last '}
              {showNumberOf(entries.length, props.unit)}
            </span>
          )}
          <Action label="Refresh" kind="ghost" act={props.reload} />
        </>
      }
    >
      <Fault text={props.fault.value} />
      {entries?.length === 0 && <Empty {...props.empty} />}
      {entries && entries.length > 0 && (
        <Table cards label={props.label} columns={props.columns}>
          <tbody>{entries.map((entry, row) => props.children(entry, row))}</tbody>
        </Table>
      )}
    </Panel>
  )
}
