/** For commands that use the database of a panel itself, beside its processes. */
import { existsSync } from 'node:fs'
import { CageError } from '../../../core/errors.ts'
import { Fleet } from '../../../panel/bank/budgets.ts'
import { readSchema, requireUsable } from '../../../panel/db/migrations.ts'
import { isPostgres, openPanelDatabase, requireKnownScheme } from '../../../panel/db/open.ts'
import { redisName } from '../../../panel/db/redis-address.ts'
import { ORGANIZATION } from '../../../panel/organization.ts'
import type { Terminal } from '../../output/terminal.ts'

/** The address of Redis and what to call it, of a flag or a variable. Throws CageError `usage`. */
export function redisOf(
  { database, redis }: { database: string; redis?: string | undefined },
  { env }: Pick<Terminal, 'env'>,
): { url: string; name: string } | undefined {
  const url = redis ?? env.redis
  if (url === undefined) return undefined
  if (isPostgres(database)) return { url, name: redisName(url) }
  throw new CageError('usage', 'a panel on an SQLite file is one process, which has nobody to hear from', {
    hint: 'leave out --redis and IRON_CAGE_REDIS, or name a PostgreSQL with --database',
  })
}

/**
 * `organization`: its name. (Default: the first one.) Throws CageError `not_found` for an SQLite file that there is not: only a
 * panel creates one. Throws `database_unusable`, as for an SQLite file that a panel serves.
 */
export async function withFleet<T>(
  address: string,
  use: (fleet: Fleet, organizationId: string) => Promise<T>,
  organization = ORGANIZATION,
): Promise<T> {
  requireFile(address)
  const database = await openPanelDatabase(address)
  try {
    const fleet = new Fleet(database)
    return await use(fleet, await fleet.openOrganization(organization))
  } finally {
    await database.close()
  }
}

/**
 * The report of `panel doctor` on a database, which it does not change. Throws like `withFleet`, and for tables of
 * another version.
 */
export async function examine(address: string) {
  requireFile(address)
  const database = await openPanelDatabase(address, { migrates: false })
  try {
    const schema = await readSchema(database.system).catch((cause: unknown) => {
      throw new CageError('database_unusable', 'this database has no tables of a panel', {
        hint: 'name the one of a panel with --database',
        cause,
      })
    })
    requireUsable(schema)
    const fleet = new Fleet(database)
    const [problems, enforcesRowSecurity] = [await fleet.problems(), await fleet.enforcesRowSecurity()]
    return { schema, problems, enforcesRowSecurity, reconcilingUntil: await fleet.reconcilingUntil() }
  } finally {
    await database.close()
  }
}

function requireFile(address: string): void {
  requireKnownScheme(address)
  if (isPostgres(address) || existsSync(address)) return
  throw new CageError('not_found', `there is no database ${address}`, {
    hint: 'name it with --database; "iron-cage panel" creates one',
  })
}
