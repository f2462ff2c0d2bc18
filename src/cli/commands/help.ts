import { ERRORS } from '../../core/errors.ts'
import { type CliCommand, command } from '../command.ts'
import { table } from '../output/print.ts'

/** What every exit code means; "help exit-codes" adds the error codes that end with each. */
export const EXIT_CODES: readonly (readonly [code: number | string, meaning: string])[] = [
  [0, 'success'],
  [1, 'failed, or only partly successful'],
  [2, 'wrong usage or configuration'],
  [3, 'stopped by the budget'],
  [4, 'not allowed'],
  [5, 'not found'],
  [6, 'conflict, or already running'],
  [7, 'the server cannot be reached'],
  [8, 'integrity: vault, audit or database'],
  [9, 'a provider or a circuit'],
  [126, 'the script cannot be executed'],
  [127, 'script or interpreter not found'],
  ['128+n', 'ended by signal n'],
  ['other', "start: the agent's own code"],
]

/** "help <command>" never comes here: `cli.ts` reads it as "<command> --help". */
export const helpCommand: CliCommand = (terminal) =>
  command({
    command: 'help <topic>',
    describe: 'Show help for a command, or the meaning of exit codes',
    builder: (yargs) =>
      yargs
        .positional('topic', { type: 'string', demandOption: true, describe: 'A command, or exit-codes' })
        .example([['$0 help exit-codes', 'for scripts that check how a command ended']]),
    handler: () => {
      const codesOf = (exit: number | string) =>
        Object.entries(ERRORS)
          .filter(([, row]) => row.exit === exit)
          .map(([code]) => code)
      const rows = EXIT_CODES.map(([exit, meaning]) => [String(exit), meaning, codesOf(exit).join(' ')])
      for (const line of table(rows)) terminal.out(line)
    },
  })
