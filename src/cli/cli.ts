/**
 * The command line: one yargs command per file in `commands/`, in the order of `COMMANDS`. A command writes to its
 * `Terminal`, throws CageErrors and sets the exit code; only here an error becomes text and a code (`error-text.ts`, the
 * table in `errors.ts`).
 */
import yargs, { type Argv, type CommandModule } from 'yargs'
import { asCageError, CageError } from '../core/errors.ts'
import { type CliCommand, type CommandGroup, STDIN } from './command.ts'
import { processTerminal, type Terminal } from './output/terminal.ts'
import { VERSION } from './output/version.ts'
import { welcome } from './output/welcome.ts'

/** Commands by name; each is loaded only when it is used, because loading all of them is slow. */
export type Commands = Readonly<Record<string, () => Promise<CliCommand>>>

const COMMANDS: Commands = {
  start: async () => (await import('./commands/start.ts')).startCommand,
  run: async () => (await import('./commands/run.ts')).runCommand,
  deploy: async () => (await import('./commands/deploy/deploy.ts')).deployCommand,
  strategies: async () => (await import('./commands/strategies/strategies.ts')).strategiesCommand,
  serve: async () => (await import('./commands/serve.ts')).serveCommand,
  open: async () => (await import('./commands/open.ts')).openCommand,
  health: async () => (await import('./commands/health.ts')).healthCommand,
  status: async () => (await import('./commands/status.ts')).statusCommand,
  ps: async () => (await import('./commands/ps.ts')).psCommand,
  stop: async () => (await import('./commands/control.ts')).stopCommand,
  pause: async () => (await import('./commands/control.ts')).pauseCommand,
  resume: async () => (await import('./commands/control.ts')).resumeCommand,
  restart: async () => (await import('./commands/control.ts')).restartCommand,
  logs: async () => (await import('./commands/logs.ts')).logsCommand,
  report: async () => (await import('./commands/report.ts')).reportCommand,
  calls: async () => (await import('./commands/calls/calls.ts')).callsCommand,
  alerts: async () => (await import('./commands/alerts/alerts.ts')).alertsCommand,
  join: async () => (await import('./commands/join.ts')).joinCommand,
  leave: async () => (await import('./commands/leave.ts')).leaveCommand,
  panel: async () => (await import('./commands/panel/panel.ts')).panelCommand,
  runtimes: async () => (await import('./commands/runtimes/runtimes.ts')).runtimesCommand,
  requests: async () => (await import('./commands/requests/requests.ts')).requestsCommand,
  teams: async () => (await import('./commands/teams/teams.ts')).teamsCommand,
  policy: async () => (await import('./commands/policy/policy.ts')).policyCommand,
  erase: async () => (await import('./commands/erase.ts')).eraseCommand,
  egress: async () => (await import('./commands/egress/egress.ts')).egressCommand,
  ca: async () => (await import('./commands/ca/ca.ts')).caCommand,
  circuits: async () => (await import('./commands/circuits/circuits.ts')).circuitsCommand,
  models: async () => (await import('./commands/models/models.ts')).modelsCommand,
  budget: async () => (await import('./commands/budget/budget.ts')).budgetCommand,
  tokens: async () => (await import('./commands/tokens/tokens.ts')).tokensCommand,
  secrets: async () => (await import('./commands/secrets/secrets.ts')).secretsCommand,
  keygen: async () => (await import('./commands/keygen.ts')).keygenCommand,
  users: async () => (await import('./commands/users/users.ts')).usersCommand,
  login: async () => (await import('./commands/login.ts')).loginCommand,
  scan: async () => (await import('./commands/scan.ts')).scanCommand,
  incidents: async () => (await import('./commands/incidents.ts')).incidentsCommand,
  audit: async () => (await import('./commands/audit/audit.ts')).auditCommand,
  prices: async () => (await import('./commands/prices/prices.ts')).pricesCommand,
  config: async () => (await import('./commands/config/config.ts')).configCommand,
  doctor: async () => (await import('./commands/doctor/doctor.ts')).doctorCommand,
  backup: async () => (await import('./commands/backup.ts')).backupCommand,
  restore: async () => (await import('./commands/restore.ts')).restoreCommand,
  completion: async () => (await import('./commands/completion.ts')).completionCommand,
  help: async () => (await import('./commands/help.ts')).helpCommand,
  version: async () => (await import('./commands/version.ts')).versionCommand,
}

/** Other names of commands, which name the file to load. */
const ALIASES: Readonly<Record<string, string>> = { token: 'tokens' }

/** Commands that list without the word. */
const LISTING: ReadonlySet<string> = new Set(['calls', 'incidents', 'ps'])

/**
 * Runs one command line and returns the exit code. Never rejects. `extraCommands`: commands of the program besides
 * ours.
 */
export async function runCli(
  typed: readonly string[],
  extraCommands: Commands = {},
  terminal: Terminal = processTerminal(),
): Promise<number> {
  if (typed.length === 0) {
    for (const line of welcome) terminal.out(line)
    return 0
  }
  const words = normalized(typed)
  try {
    const makers = await loadCommands(words, { ...COMMANDS, ...extraCommands })
    const commands = makers.map((make) => make(terminal, typed))
    const parser = words[0] === 'run' ? parserOfRun(commands[0]!) : parserOf(commands)
    configure(parser, words, commands, terminal)
    if (words[0] === 'complete') {
      const { printCompletions } = await import('./completions.ts')
      await printCompletions(parser, words.slice(1), terminal)
      return 0
    }
    await parser.parseAsync(words[0] === 'run' ? words.slice(1) : words, {}, (_error, _argv, output) => {
      if (output) terminal.out(output)
    })
    return terminal.exitCode
  } catch (error) {
    const shown = asCageError(error)
    const { errorText } = await import('./output/error-text.ts')
    terminal.err(errorText(shown, terminal.log))
    return shown.row.exit
  }
}

/**
 * "help start" is "start --help", "-v" is "--version", and "incidents list" is "incidents"; only exit-codes has a
 * separate page.
 */
function normalized(words: readonly string[]): readonly string[] {
  if (words[0] === 'scan') return words.map((word, at) => (word === '-' && words[at - 1] !== '--text' ? STDIN : word))
  if (LISTING.has(words[0]!) && words[1] === 'list') return [words[0]!, ...words.slice(2)]
  return words[0] === 'help' && words[1] !== 'exit-codes' && words[1] !== '--help'
    ? [...words.slice(1), '--help']
    : words
}

/** The command that is named first; none for the version; all of them for help, completion and an unknown name. */
function loadCommands([typed = '']: readonly string[], commands: Commands): Promise<CliCommand[]> {
  if (VERSION_FLAGS.includes(typed)) return Promise.resolve([])
  const name = ALIASES[typed] ?? typed
  const wanted = Object.hasOwn(commands, name) ? [commands[name]!] : Object.values(commands)
  return Promise.all(wanted.map((load) => load()))
}

const VERSION_FLAGS = ['--version', '-V', '-v']

function parserOf(commands: readonly CommandModule[]): Argv {
  return yargs()
    .scriptName('iron-cage')
    .usage('Supervises AI agents: hard budgets, redaction, circuit breakers, a live dashboard.')
    .command(commands as CommandModule[])
    .demandCommand(1, 'name a command')
    .epilogue('Documentation and configuration: README.md')
}

/** `run` is the whole program here, so that parsing can halt where the words of its command begin (`configure`). */
function parserOfRun(run: CommandModule): Argv {
  return yargs()
    .scriptName('iron-cage run')
    .command({ ...run, command: '$0 [command..]' })
}

/** What holds for every command: help, version, strictness, and errors that are ours. */
function configure(
  parser: Argv,
  words: readonly string[],
  commands: readonly CommandModule[],
  terminal: Terminal,
): void {
  parser
    .locale('en')
    // Its types leave out plurals.
    .updateStrings(STRINGS as object as Record<string, string>)
    .help('help', 'Show this help')
    .alias('help', 'h')
    .strict()
    .recommendCommands()
    .parserConfiguration({
      'parse-positional-numbers': false,
      'populate--': true,
      'halt-at-non-option': words[0] === 'run',
    })
    .wrap(Math.min(terminal.columns ?? MAX_HELP_WIDTH, MAX_HELP_WIDTH))
    .showHelpOnFail(false)
    .exitProcess(false)
    .fail((message, error) => {
      if (error && error.name !== 'YError') throw error
      throw new CageError('usage', (message || error.message).trim(), { hint: hintFor(message ?? '', words, commands) })
    })
  if (VERSION_FLAGS.includes(words[0]!))
    parser.version('version', 'Show the version', VERSION).alias('version', ['V', 'v'])
  else parser.version(false)
  if (words[0] !== 'run') requireOnce(words)
}

const MAX_HELP_WIDTH = 110

/** The messages of yargs, as our errors begin. */
const STRINGS = {
  'Not enough non-option arguments: got %s, need at least %s': {
    one: 'missing argument: got %s, need at least %s',
    other: 'missing arguments: got %s, need at least %s',
  },
  'Not enough arguments following: %s': '--%s needs a value',
  'Missing required argument: %s': { one: 'missing required flag: --%s', other: 'missing required flags: %s' },
  'Unknown argument: %s': { one: 'unknown argument: %s', other: 'unknown arguments: %s' },
  'Did you mean %s?': 'no such command; did you mean %s?',
  'Invalid values:': ' ',
  'Argument: %s, Given: %s, Choices: %s': '--%s is %s; expected one of %s',
  'Unknown command: %s': { one: 'unknown command: %s', other: 'unknown commands: %s' },
}

/** Throws CageError `usage` when a flag is given twice: yargs would make a list of its values. */
function requireOnce(words: readonly string[]): void {
  const given = new Set<string>()
  for (const [flag] of words.slice(0, lengthBefore(words, '--')).flatMap((word) => [/^--[\w-]+/.exec(word) ?? []])) {
    if (flag === undefined) continue
    if (given.has(flag)) throw new CageError('usage', `${flag} was given more than once`)
    given.add(flag)
  }
}

const lengthBefore = (words: readonly string[], word: string): number =>
  words.includes(word) ? words.indexOf(word) : words.length

function hintFor(message: string, words: readonly string[], commands: readonly CommandModule[]): string {
  const oneDash = words.find((word) => /^-[a-z]{2}/.test(word))
  if (oneDash) return `type the flag with two dashes: -${oneDash}`
  if (words[0] === 'start' && message.startsWith('unknown')) return "put the agent's own arguments after --"
  const isCommand = commands.length === 1
  const isGroup = isCommand && (commands[0] as CommandGroup).subcommands?.includes(words[1]!)
  const path = ['iron-cage', ...words.slice(0, isGroup ? 2 : isCommand ? 1 : 0)]
  return `"${path.join(' ')} --help" lists its arguments and flags`
}
