/** For commands that use the database of a panel itself, beside its processes. */
import { existsSync } from 'node:fs'
import { CageError } from '../../../errors.ts'
import { isPostgres, openPanelDatabase, requireKnownScheme } from '../../../panel/db/open.ts'
import { Fleet } from '../../../panel/fleet.ts'
import { ORGANIZATION } from '../../../panel/organization.ts'

export const DATABASE_HELP = 'PostgreSQL (postgres://user@host/name; a password in PGPASSWORD), or an SQLite file'
export const DEFAULT_DATABASE = 'iron_panel.db'

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

function requireFile(address: string): void {
  requireKnownScheme(address)
  if (isPostgres(address) || existsSync(address)) return
  throw new CageError('not_found', `there is no database ${address}`, {
    hint: 'name it with --database; "iron-cage panel" creates one',
  })
}
