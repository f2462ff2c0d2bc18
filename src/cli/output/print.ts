/** How results look on a terminal; errors are in `error-text.ts`. */
import { printable, printableJson } from '../../log/printable.ts'
import { wrapLines } from '../../log/wrap.ts'
import type { Terminal } from './terminal.ts'

export const json = (value: unknown): string => printableJson(JSON.stringify(value, null, 2))

/** Like `json`, on one line. */
export const jsonLine = (value: unknown): string => printableJson(JSON.stringify(value))

/**
 * Columns as wide as their widest entry. Those that do not fit into `columns` beside the others are on further lines of
 * each row, indented. `columns`: (Default: all fit.)
 */
export function table(rows: readonly (readonly string[])[], columns = Number.POSITIVE_INFINITY): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const lines = linesOf(widths, columns)
  return rows.flatMap((row) =>
    lines.map((line, index) => {
      const cells = line.map((column) => printable(row[column]!).padEnd(widths[column]!))
      return `${index > 0 ? '    ' : ''}${cells.join('  ')}`.trimEnd()
    }),
  )
}

/** Which columns are on which line of a row. The last one, often a sentence, is wrapped where it begins in the left half. */
function linesOf(widths: readonly number[], columns: number): number[][] {
  const lines: number[][] = [[]]
  let used = 0
  for (const [column, width] of widths.entries()) {
    const isSentence = column === widths.length - 1 && used <= columns / 2
    if (used > 0 && used + width > columns && !isSentence) {
      lines.push([])
      used = 4
    }
    lines.at(-1)!.push(column)
    used += width + 2
  }
  return lines
}

/** Prints a table, wrapped to the width of the terminal. `header`: (Default: none, or it is the first row.) */
export function printTable(
  rows: readonly (readonly string[])[],
  terminal: Pick<Terminal, 'out' | 'columns'>,
  header?: readonly string[],
): void {
  const all = header && rows.length > 0 ? [header, ...rows] : rows
  wrapLines(table(all, terminal.columns), terminal.columns).forEach(terminal.out)
}

/** A line below the title of `tree`; with the value null it is left out. */
export type TreeEntry = readonly [name: string, value: string | null]

/** A title with names and values below it; an entry without a name continues the one before. */
export function tree(title: string, entries: readonly TreeEntry[]): string[] {
  const shown = entries.flatMap(([name, value]) => (value === null ? [] : [{ name, value }]))
  const width = Math.max(0, ...shown.map(({ name }) => name.length))
  return [
    printable(title),
    ...shown.map(
      ({ name, value }, index) =>
        `  ${!name ? '│ ' : index < shown.length - 1 ? '├─' : '└─'} ${name.padEnd(width)}  ${printable(value)}`,
    ),
  ]
}
