import { writeFileSync } from 'node:fs'
import { CageError } from '../errors.ts'
import { newMasterKey } from '../vault/master-key.ts'
import type { Command } from './terminal.ts'

export const keygenCommand: Command = (yargs, terminal) =>
  yargs.command(
    'keygen',
    'Make a master key for the vault: 32 random bytes',
    (command) =>
      command
        .option('out', { type: 'string', requiresArg: true, describe: 'Write it to a new file that only you can read' })
        .example('$0 keygen --out master.key', 'then set IRON_CAGE_MASTER_KEY_FILE=master.key'),
    ({ out: path }) => {
      const key = newMasterKey()
      if (path === undefined) return terminal.out(key)
      try {
        // Never over a file that is there: it may be the only key of a vault.
        writeFileSync(path, `${key}\n`, { mode: 0o600, flag: 'wx' })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
          throw new CageError('conflict', `there is a file ${path} already`, { hint: 'choose another name' })
        }
        throw new CageError('usage', `cannot write ${path}: ${(error as Error).message}`, {
          cause: error,
          hint: 'choose another place',
        })
      }
      terminal.err(`written to ${path}; set IRON_CAGE_MASTER_KEY_FILE=${path} and keep a copy elsewhere:`)
      terminal.err('without it the secrets are lost')
    },
  )
