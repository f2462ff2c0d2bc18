import { CageError } from '../../errors.ts'
import type { PanelDatabase } from './database.ts'

/**
 * Opens and migrates the database that a URL or path names: "postgres://…", or a file. Throws CageError
 * `database_unusable`.
 */
export async function openPanelDatabase(address: string): Promise<PanelDatabase> {
  try {
    return await openDatabase(address)
  } catch (error) {
    if (error instanceof CageError) throw error
    const name = withoutPassword(address)
    throw new CageError('database_unusable', `cannot use ${name} as a database: ${reasonOf(error)}`, {
      facts: { database: name },
      hint: isPostgres(address)
        ? 'check that PostgreSQL runs, and the address: postgres://user@host:5432/name'
        : 'check the file and its folder',
      cause: error,
    })
  }
}

async function openDatabase(address: string): Promise<PanelDatabase> {
  // Each driver is loaded only by those who use it.
  const { openPostgres } = isPostgres(address) ? await import('./postgres.ts') : { openPostgres: undefined }
  if (openPostgres) return openPostgres(address)
  const { openSqlite } = await import('./sqlite.ts')
  return openSqlite(address)
}

export const isPostgres = (address: string): boolean => /^postgres(ql)?:\/\//i.test(address)

export const withoutPassword = (address: string): string => address.replace(/(:\/\/[^:/@]*):[^@]*@/, '$1:…@')

/** A connection that is refused on several addresses says nothing itself. */
const reasonOf = (error: unknown): string => {
  const { message, code, errors } = error as Error & { code?: string; errors?: Error[] }
  return message || errors?.[0]?.message || code || 'unknown'
}
