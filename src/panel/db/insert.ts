import type { Sql, Value } from './database.ts'

/** Inserts rows with the same columns in one statement. `onConflict`: the rest of it. (Default: none.) */
export async function insert<Row extends { [Name in keyof Row]: Value }>(
  sql: Sql,
  table: string,
  rows: readonly Row[],
  onConflict: (columns: readonly string[]) => string = () => '',
): Promise<void> {
  if (rows.length === 0) return
  const columns = Object.keys(rows[0]!) as (keyof Row & string)[]
  const tuples = rows.map((_, row) => `(${columns.map((_, column) => `$${row * columns.length + column + 1}`).join()})`)
  await sql.rows(
    `INSERT INTO ${table} (${columns.join()}) VALUES ${tuples.join()}${onConflict(columns)}`,
    rows.flatMap((row) => columns.map((name) => row[name])),
  )
}
