import { ERRORS } from '../errors.ts'
import { table } from './print.ts'
import type { Command } from './terminal.ts'

/** What every exit code means; "help exit-codes" adds the error codes that end with each. */
export const EXIT_CODES: readonly (readonly [code: number | string, meaning: string])[] = [
  [0, 'fine'],
  [1, 'failed, or works only in part'],
  [2, 'usage, or a configuration that is not right'],
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

export const helpCommand: Command = (yargs, terminal) =>
  yargs.command(
    'help <topic>',
    'Help about a command, or about exit-codes',
    (command) =>
      command
        .positional('topic', { type: 'string', demandOption: true, describe: 'A command, or exit-codes' })
        .example('$0 help exit-codes', 'what a script can tell by them'),
    () => {
      const codesOf = (exit: number | string) =>
        Object.entries(ERRORS)
          .filter(([, row]) => row.exit === exit)
          .map(([code]) => code)
      const rows = EXIT_CODES.map(([exit, meaning]) => [String(exit), meaning, codesOf(exit).join(' ')])
      for (const line of table(rows)) terminal.out(line)
    },
  )

/** "help start" is "start --help"; what has a page of its own is a command. */
export const withHelpLast = (argv: readonly string[]): readonly string[] =>
  argv[0] === 'help' && argv[1] !== 'exit-codes' && argv[1] !== '--help' ? [...argv.slice(1), '--help'] : argv
