/**
 * The database of a Control Panel: PostgreSQL, or one SQLite file for trying it out. Both run the same statements
 * (`migrations.ts`, `bank-store.ts` and their neighbors); what differs between them is here and in the two drivers. Times
 * are ms since 1970 by the database's clock, amounts BIGINT nanodollars.
 *
 * Every statement names its organization, which is the first wall between tenants. Row-level security of PostgreSQL is
 * the second one: within an organization, rows of the others neither appear nor can be written, by any statement.
 */
export type Value = string | number | null

/** Runs one statement; parameters are written $1, $2, … */
export interface Sql {
  rows<Row>(text: string, values?: readonly Value[]): Promise<Row[]>
}

export interface PanelDatabase {
  readonly dialect: Dialect
  /** Statements that no organization asks for, such as whose token this is. They see every row. */
  readonly system: Sql
  /** Runs `work` in one transaction that sees and writes the rows of one organization; all or nothing. */
  within<T>(organizationId: string, work: (sql: Sql) => Promise<T>): Promise<T>
  /** Runs `work` in one transaction on the connection for money, for all organizations. Transactions take turns. */
  money<T>(work: (sql: Sql) => Promise<T>): Promise<T>
  /**
   * Runs `work` unless another process of the panel runs work of this kind; returns undefined then. It sees every row.
   * Resolves when the last write is durable. After a failure, earlier writes may or may not be.
   */
  exclusively<T>(kind: ExclusiveWork, work: (sql: Sql) => Promise<T>): Promise<T | undefined>
  /** Tells every process of the panel that something of this organization has changed. Never rejects: it may get lost. */
  announce(organizationId: string): Promise<void>
  /**
   * Calls `listener` with the organization that has changed; with undefined when any may have. Returns an unsubscribe
   * function.
   */
  listen(listener: ChangeListener): () => void
  close(): Promise<void>
  /** Closes it, and removes a file that opening it has created. */
  discard(): Promise<void>
}

/** The work that one process of the panel does for all. */
export type ExclusiveWork = 'alert' | 'check' | 'partition'

export type ChangeListener = (organizationId: string | undefined) => void

export interface Dialect {
  readonly kind: 'postgres' | 'sqlite'
  /** The database's time, in ms since 1970. */
  readonly now: string
  /** Names the database in which the table `ledger_meta` is: another text wherever it was restored to, or promoted. */
  readonly identity: string
  /** Whether the database has refused values that a statement had, and would refuse them again. */
  isRefusal(error: unknown): boolean
  /** Locks the selected rows until the transaction ends. */
  readonly forUpdate: string
  /** The type of a column that numbers its rows. */
  readonly serial: string
  /** Whether a column's value is in the JSON list of texts that a parameter holds. */
  isIn(column: string, parameter: string): string
  /** Statements after which an organization sees and writes only its own rows of a table; `column` has its id. */
  ownRows(table: string, column: string): string[]
}
