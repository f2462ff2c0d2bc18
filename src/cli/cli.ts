/**
 * The command line: one file per command, in the order of `COMMANDS`. A command writes to its `Terminal`, throws
 * CageErrors and sets the exit code; only here an error becomes text and a code (`print.ts`, the table in `errors.ts`).
 */
import yargs from 'yargs'
import { asCageError, CageError } from '../errors.ts'
import { auditCommand } from './audit.ts'
import { budgetCommand } from './budget.ts'
import { configCommand } from './config.ts'
import { pauseCommand, restartCommand, resumeCommand, stopCommand } from './control.ts'
import { incidentsCommand } from './incidents.ts'
import { logsCommand } from './logs.ts'
import { pricesCommand } from './prices.ts'
import { errorText } from './print.ts'
import { psCommand } from './ps.ts'
import { reportCommand } from './report-command.ts'
import { scanCommand } from './scan.ts'
import { serveCommand } from './serve.ts'
import { startCommand } from './start.ts'
import { statusCommand } from './status.ts'
import { type Command, processTerminal, type Terminal } from './terminal.ts'
import { tokensCommand } from './tokens.ts'
import { VERSION, versionCommand } from './version.ts'

const COMMANDS: readonly Command[] = [
  startCommand,
  serveCommand,
  statusCommand,
  psCommand,
  stopCommand,
  pauseCommand,
  resumeCommand,
  restartCommand,
  logsCommand,
  reportCommand,
  budgetCommand,
  tokensCommand,
  scanCommand,
  incidentsCommand,
  auditCommand,
  pricesCommand,
  configCommand,
  versionCommand,
]

/** Runs one command line and returns the exit code. Never rejects. `extraCommands`: what the program has besides ours. */
export async function runCli(
  argv: readonly string[],
  extraCommands: readonly Command[] = [],
  terminal: Terminal = processTerminal(),
): Promise<number> {
  try {
    const parser = yargs()
      .scriptName('iron-cage')
      .locale('en')
      .usage('$0 <command>\n\nSupervises AI agents: hard budgets, redaction, circuit breakers, a live dashboard.')
      .version(VERSION)
      .strict()
      .recommendCommands()
      .demandCommand(1, 'a command is missing')
      .wrap(110)
      .exitProcess(false)
      .fail((message, error) => {
        throw error && error.name !== 'YError' ? error : usageError(message ?? error?.message, argv)
      })
      .parserConfiguration({
        'populate--': true,
        'parse-numbers': false,
        'parse-positional-numbers': false,
      })
      .check(refuseRepeated)
      .epilogue('Documentation and configuration: README.md')
    for (const command of [...COMMANDS, ...extraCommands]) command(parser, terminal)
    await parser.parseAsync(withDashesLast(argv))
    return terminal.exitCode
  } catch (error) {
    const shown = asCageError(error)
    terminal.err(errorText(shown, terminal.log))
    return shown.row.exit
  }
}

/** yargs loses a lone dash (standard input) among the words; behind -- it keeps it. */
function withDashesLast(argv: readonly string[]): string[] {
  const end = argv.includes('--') ? argv.indexOf('--') : argv.length
  const before = argv.slice(0, end)
  const dashes = before.filter((word) => word === '-')
  return dashes.length === 0
    ? [...argv]
    : [...before.filter((word) => word !== '-'), '--', ...dashes, ...argv.slice(end + 1)]
}

/** A flag that came twice is a list then; only words without a flag may be several. */
function refuseRepeated(args: Record<string, unknown>): true {
  const repeated = Object.entries(args).find(([name, value]) => Array.isArray(value) && !LISTS.includes(name))
  if (repeated) throw new CageError('usage', `--${repeated[0]} is there more than once`)
  return true
}

const LISTS: readonly string[] = ['_', '--', 'files', 'args']

/** What yargs found wrong with the command line, in our words where its own do not name what came. */
function usageError(message: string, argv: readonly string[]): CageError {
  const words = argv.filter((word) => !word.startsWith('-'))
  const meant = /^Did you mean (.+)\?$/.exec(message)?.[1]
  if (meant) return new CageError('usage', `there is no command "${words.join(' ')}"; did you mean ${meant}?`)
  const unknown = /^Unknown arguments?: ([^,]+)/.exec(message)?.[1]
  if (unknown && unknown === words[0]) return new CageError('usage', `there is no command "${unknown}"`)
  return new CageError('usage', message.charAt(0).toLowerCase() + message.slice(1), {
    hint: unknown && argv.includes('start') ? "put the agent's own arguments after --" : undefined,
  })
}
