import { eq, sql } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { meta } from './schema.ts'

export type MetaTable = ReturnType<typeof metaTable>

/** Single values that belong to the whole file. */
export function metaTable({ orm }: Pick<Database, 'orm'>) {
  const put = orm
    .insert(meta)
    .values({ key: sql.placeholder('key'), value: sql.placeholder('value') })
    .onConflictDoUpdate({ target: meta.key, set: { value: sql`excluded.value` } })
    .prepare()
  return {
    get: (key: string): string | undefined => orm.select().from(meta).where(eq(meta.key, key)).get()?.value,
    /** Of all keys with this prefix. */
    find: (prefix: string): { key: string; value: string }[] =>
      orm.select().from(meta).where(sql`substr(${meta.key}, 1, ${prefix.length}) = ${prefix}`).all(),
    put: (key: string, value: string): void => void put.run({ key, value }),
  }
}
