/** Erases words from the rows of an organization, table by table. */
import { CageError } from '../../core/errors.ts'
import { type EraseWords, eraseInJson } from '../access/erase-words.ts'
import { addUp } from '../telemetry/spending.ts'
import type { Sql, Value } from './database.ts'
import { insert } from './insert.ts'
import { type Content, TEXT_TABLES } from './personal-columns.ts'

type Row = Record<string, Value>

/** Rows that are read at a time. */
const PAGE = 1_000

/** Texts that others depend on. */
export async function boundTexts(sql: Sql, organizationId: string): Promise<{ table: string; text: string }[]> {
  const found: { table: string; text: string }[] = []
  for (const table of Object.keys(TEXT_TABLES)) {
    const names = columnsOf(table, ['bound'])
    if (names.length === 0) continue
    await eachRow<Row>(sql, organizationId, table, async (row) => {
      for (const name of names) if (row[name] != null) found.push({ table, text: String(row[name]) })
    })
  }
  return found
}

/** Returns how many rows had the words. Throws CageError `conflict` for two rows that cannot become one. */
export async function eraseInTable(
  sql: Sql,
  organizationId: string,
  table: string,
  erase: EraseWords,
): Promise<number> {
  const names = columnsOf(table, ['text', 'json'])
  if (names.length === 0) return 0
  const { key } = TEXT_TABLES[table]!
  let count = 0
  await eachRow<Row>(sql, organizationId, table, async (row) => {
    const changed: Row = {}
    for (const name of names) {
      const text = row[name]
      if (typeof text !== 'string') continue
      const left = TEXT_TABLES[table]!.columns[name] === 'json' ? eraseInJson(text, erase) : erase(text)
      if (left !== text) changed[name] = left
    }
    if (Object.keys(changed).length === 0) return
    count += 1
    if (Object.keys(changed).some((name) => key.includes(name))) return move(sql, table, row, changed)
    await requireUnique(sql, table, row, changed)
    await update(sql, table, row, changed)
  })
  return count
}

/** Reads the rows of an organization in the order of their keys, and calls `use` with each. */
export async function eachRow<T>(
  sql: Sql,
  organizationId: string,
  table: string,
  use: (row: T) => Promise<void>,
): Promise<void> {
  const { key, columns } = TEXT_TABLES[table]!
  const owner = 'organization_id' in columns ? 'organization_id' : 'id'
  let rows: Row[] = []
  do {
    const last = rows.at(-1)
    const from = last ? `AND (${key.join()}) > (${key.map((_, at) => `$${at + 3}`).join()})` : ''
    rows = await sql.rows<Row>(`SELECT * FROM ${table} WHERE ${owner} = $1 ${from} ORDER BY ${key.join()} LIMIT $2`, [
      organizationId,
      PAGE,
      ...(last ? key.map((name) => last[name]!) : []),
    ])
    for (const row of rows) await use(row as T)
  } while (rows.length === PAGE)
}

const columnsOf = (table: string, contents: readonly Content[]): string[] =>
  Object.entries(TEXT_TABLES[table]!.columns).flatMap(([name, content]) => (contents.includes(content) ? [name] : []))

async function update(sql: Sql, table: string, row: Row, changed: Row): Promise<void> {
  const { key } = TEXT_TABLES[table]!
  const changes = Object.keys(changed).map((name, at) => `${name} = $${key.length + at + 1}`)
  await sql.rows(`UPDATE ${table} SET ${changes.join()} WHERE ${isRow(key)}`, [
    ...key.map((name) => row[name]!),
    ...Object.values(changed),
  ])
}

/** Its key changes, and there may be a row with the new one. */
async function move(sql: Sql, table: string, row: Row, changed: Row): Promise<void> {
  const { key, sums } = TEXT_TABLES[table]!
  const own = key.map((name) => row[name]!)
  await sql.rows(`DELETE FROM ${table} WHERE organization_id = $${key.length + 1} AND ${isRow(key)}`, [
    ...own,
    row.organization_id!,
  ])
  await insert(sql, table, [{ ...row, ...changed }], sums ? addUp(table) : () => ' ON CONFLICT DO NOTHING')
}

/** Such as two budgets, which are two limits. */
async function requireUnique(sql: Sql, table: string, row: Row, changed: Row): Promise<void> {
  const { unique = [] } = TEXT_TABLES[table]!
  if (!unique.some((name) => name in changed)) return
  const same = await sql.rows(
    `SELECT 1 FROM ${table} WHERE ${isRow(unique)}`,
    unique.map((name) => (changed[name] ?? row[name])!),
  )
  if (same.length === 0) return
  throw new CageError('conflict', `two ${table} would get the same name`, {
    hint: 'erase their names one after the other',
  })
}

const isRow = (key: readonly string[]): string => key.map((name, at) => `${name} = $${at + 1}`).join(' AND ')
