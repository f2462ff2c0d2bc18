/**
 * The command line: one file per command in `commands/`, in the order of `COMMANDS`. A command writes to its `Terminal`,
 * throws CageErrors and sets the exit code; only here an error becomes text and a code (`error-text.ts`, the
 * table in `errors.ts`).
 */
import { Command, CommanderError, type CommandUnknownOpts, Help, type Option } from '@commander-js/extra-typings'
import { asCageError, CageError } from '../core/errors.ts'
import { wrapLines } from '../log/wrap.ts'
import type { CliCommand } from './command.ts'
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

/** Other names of commands. */
const ALIASES: Readonly<Record<string, string>> = { token: 'tokens' }

/** Commands that list without the word. */
const LISTING: ReadonlySet<string> = new Set(['calls', 'incidents', 'ps'])

/** Runs one command line and returns the exit code. Never rejects. `extraCommands`: what the program has besides ours. */
export async function runCli(
  typed: readonly string[],
  extraCommands: Commands = {},
  terminal: Terminal = processTerminal(),
): Promise<number> {
  if (typed.length === 0) {
    for (const line of welcome) terminal.out(line)
    return 0
  }
  const argv = normalized(typed)
  try {
    const program = programWith(await loadCommands(argv, { ...COMMANDS, ...extraCommands }), argv, terminal)
    if (argv[0] === 'complete') (await import('./completions.ts')).printCompletions(program, argv.slice(1), terminal)
    else await program.parseAsync(argv, { from: 'user' })
    return terminal.exitCode
  } catch (error) {
    // Help or the version was printed.
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    const shown = asCageError(error)
    const { errorText } = await import('./output/error-text.ts')
    terminal.err(errorText(shown, terminal.log))
    return shown.row.exit
  }
}

/**
 * "help start" is "start --help", "-v" is "-V", and "incidents list" is "incidents"; only exit-codes has a page of its
 * own.
 */
function normalized(argv: readonly string[]): readonly string[] {
  if (LISTING.has(argv[0]!) && argv[1] === 'list') return [argv[0]!, ...argv.slice(2)]
  if (argv[0] === '-v') return ['-V', ...argv.slice(1)]
  return argv[0] === 'help' && argv[1] !== 'exit-codes' && argv[1] !== '--help' ? [...argv.slice(1), '--help'] : argv
}

/** The command that is named first; none for the version; all of them for help, completion and an unknown name. */
function loadCommands([typed = '']: readonly string[], commands: Commands): Promise<CliCommand[]> {
  if (typed === '--version' || typed === '-V') return Promise.resolve([])
  const name = ALIASES[typed] ?? typed
  const wanted = Object.hasOwn(commands, name) ? [commands[name]!] : Object.values(commands)
  return Promise.all(wanted.map((load) => load()))
}

function programWith(commands: readonly CliCommand[], argv: readonly string[], terminal: Terminal): CommandUnknownOpts {
  const program = new Command('iron-cage')
    .description('Supervises AI agents: hard budgets, redaction, circuit breakers, a live dashboard.')
    .version(VERSION, '-V, --version', 'Show the version')
    .helpOption('-h, --help', 'Show this help')
    .helpCommand(false)
    // The words after the command of "run" are the command's own.
    .enablePositionalOptions()
    .configureHelp({
      helpWidth: Math.min(terminal.columns ?? MAX_HELP_WIDTH, MAX_HELP_WIDTH),
      subcommandTerm: nameAndArguments,
      optionDescription: describeOption,
    })
    .configureOutput({
      writeOut: (text) => terminal.out(wrapLines(text.trimEnd().split('\n'), terminal.columns).join('\n')),
      writeErr: () => {},
    })
    .addHelpText('after', '\nDocumentation and configuration: README.md')
  for (const command of commands) program.addCommand(command(terminal))
  configure(program, argv)
  return program
}

const MAX_HELP_WIDTH = 110

function describeOption(option: Option): string {
  const text = Help.prototype.optionDescription(option)
  return option.mandatory && option.defaultValue === undefined ? `${text} (required)` : text
}

const nameAndArguments = (command: CommandUnknownOpts): string =>
  [command.name(), ...command.registeredArguments.map((argument) => humanReadable(argument))].join(' ')

function humanReadable(argument: CommandUnknownOpts['registeredArguments'][number]): string {
  const name = argument.name() + (argument.variadic ? '...' : '')
  return argument.required ? `<${name}>` : `[${name}]`
}

/** What holds for every command: its errors are ours, and a flag comes once and with its value. */
function configure(command: CommandUnknownOpts, argv: readonly string[]): void {
  command.exitOverride((error) => {
    throw error.exitCode === 0 ? error : usageError(error, command, argv)
  })
  const given = new Set<string>()
  for (const option of command.options) {
    command.on(`option:${option.name()}`, (value: string | null) => checkFlag(command, option, value, given))
  }
  for (const subcommand of command.commands) configure(subcommand.copyInheritedSettings(command), argv)
}

/** Throws CageError `usage`. `given`: the flags that were read so far. */
function checkFlag(command: CommandUnknownOpts, option: Option, value: string | null, given: Set<string>): void {
  const name = option.attributeName()
  if (given.has(name)) throw new CageError('usage', `${option.long} was given more than once`)
  given.add(name)
  if (value && command.options.some(({ short, long }) => value === short || value === long)) {
    throw new CageError('usage', `${option.long} needs a value, but ${value} follows`)
  }
}

/** What commander found wrong with the command line, with what to type next. */
function usageError(error: CommanderError, command: CommandUnknownOpts, argv: readonly string[]): CageError {
  const names = command.commands.map((subcommand) => subcommand.name())
  const needed = `${command.name()} needs one of: ${names.join(', ')}`
  const message = error.code === 'commander.help' ? needed : error.message.replace(/^error: /, '')
  const mistyped = mistypedName(error, command, argv)
  if (mistyped === undefined) return new CageError('usage', message, { hint: hintFor(error.code, command, argv) })
  const help = new CommanderError(2, 'commander.help', '')
  const { message: groupNeeds, hint } = usageError(help, command.parent!, argv)
  return new CageError('usage', `unknown command '${mistyped}': ${groupNeeds}`, { hint })
}

/** "circuits rest" is read as "circuits list rest", and what follows as flags of "list". Undefined for what is no such slip. */
function mistypedName(
  { code }: CommanderError,
  command: CommandUnknownOpts,
  argv: readonly string[],
): string | undefined {
  const typed = argv[1]
  if (command.name() !== 'list' || argv.includes('list') || !typed || typed.startsWith('-')) return undefined
  const isFlagOfOther = code === 'commander.unknownOption' && command.registeredArguments.length === 0
  return code === 'commander.excessArguments' || isFlagOfOther ? typed : undefined
}

function hintFor(code: string, command: CommandUnknownOpts, argv: readonly string[]): string {
  if (code === 'commander.unknownOption') {
    const oneDash = argv.find((word) => /^-[a-z]{2}/.test(word))
    if (oneDash) return `type the flag with two dashes: -${oneDash}`
    if (command.name() === 'start') return "put the agent's own arguments after --"
  }
  return `"${pathOf(command)} --help" lists its arguments and flags`
}

/** The words that name a command, such as "iron-cage budget set". */
const pathOf = (command: CommandUnknownOpts): string =>
  command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name()
