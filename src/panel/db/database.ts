/**
 * The database of a Control Panel: PostgreSQL, or one SQLite file for trying it out. Both run the same statements
 * (`tables.ts`, `bank-store.ts`); what differs between them is here and in the two drivers. Times are ms since 1970 by
 * the database's clock, amounts BIGINT nanodollars.
 */
export type Value = string | number | null

/** Runs one statement; parameters are written $1, $2, … */
export interface Sql {
  rows<Row>(text: string, values?: readonly Value[]): Promise<Row[]>
}

export interface PanelDatabase extends Sql {
  readonly dialect: Dialect
  /** Runs `work` in one transaction on the connection for money; all or nothing. Transactions take turns. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>
  close(): Promise<void>
}

export interface Dialect {
  readonly kind: 'postgres' | 'sqlite'
  /** The database's time, in ms since 1970. */
  readonly now: string
  /** Locks the selected rows until the transaction ends. */
  readonly forUpdate: string
  /** The type of a column that numbers its rows. */
  readonly serial: string
  /** Whether a column's value is in the JSON list of texts that a parameter holds. */
  isIn(column: string, parameter: string): string
}
