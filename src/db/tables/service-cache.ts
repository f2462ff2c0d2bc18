import { and, eq, sql } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { serviceCache } from './schema.ts'

export type ServiceCacheRow = typeof serviceCache.$inferSelect
export type ServiceCacheTable = ReturnType<typeof serviceCacheTable>

/** The last good reply of each service to each request, sealed. */
export function serviceCacheTable({ orm, transaction, seal, unseal }: Database) {
  const isRow = and(
    eq(serviceCache.service, sql.placeholder('service')),
    eq(serviceCache.request_key, sql.placeholder('request_key')),
  )
  const find = orm.select().from(serviceCache).where(isRow).prepare()
  const remove = orm.delete(serviceCache).where(isRow).prepare()
  const insert = orm
    .insert(serviceCache)
    .values({
      service: sql.placeholder('service'),
      request_key: sql.placeholder('request_key'),
      status: sql.placeholder('status'),
      content_type: sql.placeholder('content_type'),
      body: sql.placeholder('body'),
      stored_at: sql.placeholder('stored_at'),
    })
    .prepare()
  // length() reads a row's header, not its body.
  const sizes = orm
    .select({ service: serviceCache.service, key: serviceCache.request_key, bytes: sql<number>`length(body)` })
    .from(serviceCache)
    .orderBy(sql`rowid`)
    .prepare()

  return {
    /** Throws CageError `database_unusable` when it cannot be opened. */
    find(service: string, requestKey: string): ServiceCacheRow | undefined {
      const row = find.get({ service, request_key: requestKey })
      return row && { ...row, body: unseal(row.body, aboutAnswer(row)) }
    },

    /** Removed and inserted, not updated, so that the newest reply has the highest rowid. */
    put: (row: ServiceCacheRow): void =>
      transaction(() => {
        remove.run({ service: row.service, request_key: row.request_key })
        insert.run({ ...row, body: seal(row.body, aboutAnswer(row)) })
      }),

    remove: (service: string, requestKey: string): void => void remove.run({ service, request_key: requestKey }),

    /** The length of each reply, oldest first. */
    sizes: (): { service: string; key: string; bytes: number }[] => sizes.all(),
  }
}

const aboutAnswer = ({ service, request_key }: Pick<ServiceCacheRow, 'service' | 'request_key'>): string =>
  `an answer of ${service} (${request_key})`
