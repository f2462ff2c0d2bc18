import { statSync } from 'node:fs'
import { CageError } from '../../../core/errors.ts'
import type { ClientFlags } from '../../client/client.ts'
import type { Terminal } from '../../output/terminal.ts'
import { loadFlags } from '../../settings/load-flags.ts'

/** Throws CageError `not_found` when there is no database. */
export function databasePath(flags: ClientFlags, terminal: Terminal): string {
  const { path } = loadFlags(flags, terminal).config.db
  if (statSync(path, { throwIfNoEntry: false })) return path
  const { serverUrl } = terminal.env
  const hint =
    serverUrl === undefined
      ? 'name it with --db'
      : `this reads a file, never ${serverUrl} (IRON_CAGE_URL): name the file with --db; the audit of a Control Panel is on its page, and "iron-cage panel doctor" checks it`
  throw new CageError('not_found', `there is no database ${path}`, { hint })
}
