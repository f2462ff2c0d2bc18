/** The abilities of each client, as a table in Markdown: a row for each client, a column for each case. */
export class Table {
  readonly #columns: string[] = []
  readonly #rows = new Map<string, { version: string; cells: Map<string, string> }>()

  row(client: string): void {
    this.#rows.set(client, { version: '', cells: new Map() })
  }

  tell(client: string, version: string): void {
    this.#rows.get(client)!.version = version
  }

  set(client: string, column: string, mark: string): void {
    if (!this.#columns.includes(column)) this.#columns.push(column)
    this.#rows.get(client)!.cells.set(column, mark)
  }

  toString(): string {
    const head = ['client', 'version', ...this.#columns]
    const body = [...this.#rows].map(([client, { version, cells }]) => [
      client,
      version,
      ...this.#columns.map((column) => cells.get(column) ?? ' '),
    ])
    const widths = head.map((_, column) => Math.max(...[head, ...body].map((row) => row[column]!.length)))
    const show = (row: string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |\n`
    return [show(head), show(widths.map((width) => '-'.repeat(width))), ...body.map(show)].join('')
  }
}
