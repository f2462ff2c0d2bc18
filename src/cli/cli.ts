/**
 * The command line: one file per command, in the order of `COMMANDS`. A command writes to its `Terminal`, throws
 * CageErrors and sets the exit code; only here an error becomes text and a code (`print.ts`, the table in `errors.ts`).
 */
import yargs, { type Argv } from 'yargs'
import { nearest } from '../config/problems.ts'
import { asCageError, CageError } from '../errors.ts'
import { withHelpLast } from './help.ts'
import { errorText } from './print.ts'
import { type Command, processTerminal, type Terminal } from './terminal.ts'
import { VERSION } from './version.ts'
import { welcome } from './welcome.ts'

/** A command by the word that names it; loaded when it is wanted, since all of them together take a while. */
export type Commands = Readonly<Record<string, () => Promise<Command>>>

const COMMANDS: Commands = {
  start: async () => (await import('./start.ts')).startCommand,
  serve: async () => (await import('./serve.ts')).serveCommand,
  status: async () => (await import('./status.ts')).statusCommand,
  ps: async () => (await import('./ps.ts')).psCommand,
  stop: async () => (await import('./control.ts')).stopCommand,
  pause: async () => (await import('./control.ts')).pauseCommand,
  resume: async () => (await import('./control.ts')).resumeCommand,
  restart: async () => (await import('./control.ts')).restartCommand,
  logs: async () => (await import('./logs.ts')).logsCommand,
  report: async () => (await import('./report-command.ts')).reportCommand,
  alerts: async () => (await import('./alerts.ts')).alertsCommand,
  circuits: async () => (await import('./circuits.ts')).circuitsCommand,
  models: async () => (await import('./models.ts')).modelsCommand,
  budget: async () => (await import('./budget.ts')).budgetCommand,
  tokens: async () => (await import('./tokens.ts')).tokensCommand,
  secrets: async () => (await import('./secrets.ts')).secretsCommand,
  keygen: async () => (await import('./keygen.ts')).keygenCommand,
  users: async () => (await import('./users.ts')).usersCommand,
  login: async () => (await import('./login.ts')).loginCommand,
  scan: async () => (await import('./scan.ts')).scanCommand,
  incidents: async () => (await import('./incidents.ts')).incidentsCommand,
  audit: async () => (await import('./audit.ts')).auditCommand,
  prices: async () => (await import('./prices.ts')).pricesCommand,
  config: async () => (await import('./config.ts')).configCommand,
  doctor: async () => (await import('./doctor/doctor.ts')).doctorCommand,
  backup: async () => (await import('./backup.ts')).backupCommand,
  restore: async () => (await import('./backup.ts')).restoreCommand,
  completion: async () => (await import('./completion.ts')).completionCommand,
  help: async () => (await import('./help.ts')).helpCommand,
  version: async () => (await import('./version.ts')).versionCommand,
}

/** Runs one command line and returns the exit code. Never rejects. `extraCommands`: what the program has besides ours. */
export async function runCli(
  typed: readonly string[],
  extraCommands: Commands = {},
  terminal: Terminal = processTerminal(),
): Promise<number> {
  const argv = withHelpLast(typed)
  if (argv.length === 0) {
    for (const line of welcome) terminal.out(line)
    return 0
  }
  try {
    const parser: Argv = yargs()
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
        throw error && error.name !== 'YError' ? error : usageError(message ?? error?.message, argv, flagsOf(parser))
      })
      .parserConfiguration({
        'populate--': true,
        'parse-numbers': false,
        'parse-positional-numbers': false,
      })
      .check(refuseRepeated)
      // Asked by the scripts of completion.ts; that command of its own is not shown.
      .completion('yargs-completion', false)
      .epilogue('Documentation and configuration: README.md')
    for (const command of await wantedCommands(argv, { ...COMMANDS, ...extraCommands })) command(parser, terminal)
    await parser.parseAsync(withDashesLast(argv))
    return terminal.exitCode
  } catch (error) {
    const shown = asCageError(error)
    terminal.err(errorText(shown, terminal.log))
    return shown.row.exit
  }
}

/** The one that is named first; all of them for help, and for a word that names none. */
function wantedCommands(argv: readonly string[], commands: Commands): Promise<Command[]> {
  const [first = ''] = argv
  const wanted = Object.hasOwn(commands, first) ? [commands[first]!] : Object.values(commands)
  return Promise.all(wanted.map((load) => load()))
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

/** The flags of the command that is being read, by their long names. The types of yargs do not tell of getOptions. */
const flagsOf = (parser: Argv): string[] =>
  Object.keys((parser as unknown as { getOptions(): { key: object } }).getOptions().key).filter(
    (name) => name.length > 1,
  )

/** What yargs found wrong with the command line, in our words where its own do not name what came. */
function usageError(message: string, argv: readonly string[], flags: readonly string[]): CageError {
  const words = argv.filter((word) => !word.startsWith('-'))
  const meant = /^Did you mean (.+)\?$/.exec(message)?.[1]
  if (meant) return new CageError('usage', `there is no command "${words.join(' ')}"; did you mean ${meant}?`)
  const unknown = /^Unknown arguments?: ([^,]+)/.exec(message)?.[1]
  if (unknown && unknown === words[0]) return new CageError('usage', `there is no command "${unknown}"`)
  const typed = unknown === undefined ? undefined : typedFlag(unknown, argv)
  if (typed) {
    const near = nearest(nameOf(typed), flags)
    const meantFlag = near && `; did you mean ${typed.startsWith('--no-') ? '--no-' : '--'}${near}?`
    return new CageError('usage', `unknown flag ${typed}${meantFlag ?? ''}`, { hint: startHint(argv) })
  }
  const flag = /^Not enough arguments following: (.+)/.exec(message)?.[1]
  if (flag) return new CageError('usage', `--${flag} needs a value`)
  if (message.startsWith('Not enough non-option arguments')) {
    return new CageError('usage', `"${words.slice(0, 2).join(' ')}" is not complete`, {
      hint: `"iron-cage help ${words[0] ?? ''}" tells what belongs to it`,
    })
  }
  return new CageError('usage', message.charAt(0).toLowerCase() + message.slice(1), {
    hint: unknown && startHint(argv),
  })
}

/** The flag that yargs means, as it was typed: without its value. To yargs, -budget is six flags of one letter. */
const typedFlag = (unknown: string, argv: readonly string[]): string | undefined =>
  argv
    .map((word) => word.split('=')[0]!)
    .find((word) => word.startsWith('-') && [nameOf(word), word[1]].includes(unknown))

const nameOf = (flag: string): string => flag.replace(/^--?(no-)?/, '')

const startHint = (argv: readonly string[]): string | undefined =>
  argv.includes('start') ? "put the agent's own arguments after --" : undefined
