import { CageError } from '../../core/errors.ts'
import type { PanelDatabase } from './database.ts'

/**
 * Opens the database that a URL or path names: "postgres://…", or a file. `migrates`: whether it gets the tables of this
 * version. (Default: yes.) Throws CageError `database_unusable`.
 */
export async function openPanelDatabase(address: string, { migrates = true } = {}): Promise<PanelDatabase> {
  try {
    return await openDatabase(address, migrates)
  } catch (error) {
    if (error instanceof CageError) throw error
    const name = withoutPassword(address)
    throw new CageError('database_unusable', `cannot use ${name} as a database: ${reasonOf(error)}`, {
      facts: { database: name },
      hint: isPostgres(address)
        ? 'check that PostgreSQL runs, the address (postgres://user@host:5432/name), and the password in PGPASSWORD or ~/.pgpass'
        : 'check the file and its folder',
      cause: error,
    })
  }
}

async function openDatabase(address: string, migrates: boolean): Promise<PanelDatabase> {
  requireKnownScheme(address)
  // Each driver is loaded only by those who use it.
  const { openPostgres } = isPostgres(address) ? await import('./postgres.ts') : { openPostgres: undefined }
  if (openPostgres) return openPostgres(address, migrates)
  const { openSqlite } = await import('./sqlite.ts')
  return openSqlite(address, migrates)
}

/** A misspelt address must not become the name of a file. Throws CageError `database_unusable`. */
export function requireKnownScheme(address: string): void {
  const scheme = /^[a-z][\w+.-]+:/i.exec(address)?.[0]
  if (scheme === undefined || isPostgres(address)) return
  throw new CageError('database_unusable', `${withoutPassword(address)} is no database that a panel can use`, {
    facts: { database: withoutPassword(address) },
    hint: 'write postgres://user@host:5432/name, or the name of a file for SQLite',
  })
}

export const isPostgres = (address: string): boolean => /^postgres(ql)?:\/\//i.test(address)

export const withoutPassword = (address: string): string => address.replace(/(:\/\/[^:/@]*):[^@]*@/, '$1:…@')

/** A connection that is refused on several addresses has no message itself. */
export const reasonOf = (error: unknown): string => {
  const { message, code, errors } = error as Error & { code?: string; errors?: Error[] }
  // The driver's message without one.
  if (/password must be a string/.test(message)) return 'it asks for a password, and there is none'
  return message || errors?.[0]?.message || code || 'unknown'
}
