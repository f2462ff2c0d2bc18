import { writeFileSync } from 'node:fs'
import { CageError } from '../../core/errors.ts'
import { newMasterKey } from '../../vault/master-key.ts'
import { type CliCommand, command } from '../command.ts'

export const keygenCommand: CliCommand = (terminal) =>
  command({
    command: 'keygen',
    describe: 'Make a master key for the vault: 32 random bytes',
    builder: (yargs) =>
      yargs
        .option('out', { type: 'string', requiresArg: true, describe: 'Write it to a new file that only you can read' })
        .example([['$0 keygen --out master.key', 'then set IRON_CAGE_MASTER_KEY_FILE=master.key']]),
    handler: ({ out: path }) => {
      const key = newMasterKey()
      if (path === undefined) return terminal.out(key)
      writeKeyFile(path, key)
      terminal.err(`written to ${path}; set IRON_CAGE_MASTER_KEY_FILE=${path} and keep a copy elsewhere:`)
      terminal.err('without it the secrets are lost')
    },
  })

/** Throws CageError `conflict` for a file that exists, and `usage` for one that cannot be written. */
function writeKeyFile(path: string, key: string): void {
  try {
    // Never overwrites a file: it may be the only key of a vault.
    writeFileSync(path, `${key}\n`, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new CageError('conflict', `the file ${path} exists already`, { hint: 'choose another name' })
    }
    throw new CageError('usage', `cannot write ${path}: ${(error as Error).message}`, {
      cause: error,
      hint: 'choose another folder',
    })
  }
}
