import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runCli } from './cli/cli.ts'
import { processTerminal } from './cli/output/terminal.ts'
import { hideMasterKey } from './config/env.ts'
import { asCageError, type CageError, ERRORS } from './core/errors.ts'
import { isSingleExecutable } from './core/package-folder.ts'

/** Both halves: with less, calls in progress are moved to the old generation, which takes a tenth more of the processor. */
const YOUNG_BYTES = 16 * 1024 * 1024

// First, since a process started later could read it. The executable is its own program, and has Node's own arguments.
const programArgs = isSingleExecutable() ? [] : [...process.execArgv, process.argv[1]!]
hideMasterKey(process.execPath, [...programArgs, ...process.argv.slice(2)])

// By default V8 lets garbage grow to more than twice the server's needs. A Control Panel has its own machine, and a
// quarter less to do with that garbage.
if (process.argv[2] !== 'panel') {
  setFlagsFromString('--heap-growing-percent=100')
  setInterval(limitYoungGeneration, 100).unref()
}
// Four threads that share a young generation of some megabytes use more processor time than they save.
setFlagsFromString('--no-parallel-scavenge')
// Most functions run once per call, and by default V8 optimizes functions that have run 3,000 times: that costs a tenth
// more processor time a call, and a fifth more with one call at a time.
setFlagsFromString('--invocation-count-for-turbofan=1000')

// Without a listener Node opens a debugger on this signal. (The executable starts here.)
process.on('SIGUSR1', () => undefined)

/** V8 doubles it while calls come in, and makes it small again when they end. */
function limitYoungGeneration(): void {
  const size = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')!.space_size
  setFlagsFromString(`--semi-space-growth-factor=${size < YOUNG_BYTES ? 2 : 1}`)
}

// Files we write contain an agent's data: they are for this user only.
process.umask(0o077)
const terminal = processTerminal()
const demo = async () => (await import('../demo/command.ts')).demoCommand

// A closed pipe ends the program as it would end any other; `start` stops its agent first.
process.stdout.once('error', () => process.kill(process.pid, 'SIGTERM'))
// Losing the output is no reason to exit; the log has it too.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)

// The state is unknown: exit immediately; the watchdogs end the agents.
let isEnding = false
process.on('uncaughtException', async (error) => {
  if (isEnding) process.exit(ERRORS.internal.exit)
  isEnding = true
  const cause = asCageError(error)
  terminal.err(await textOf(cause))
  terminal.log?.logger.error({ error }, 'Iron Cage ended by an unexpected error')
  await terminal.log?.close()
  process.exit(ERRORS[cause.code].exit)
})

/** Its code alone where no file can be opened any more. */
const textOf = (error: CageError): Promise<string> =>
  import('./cli/output/error-text.ts').then(
    ({ errorText }) => errorText(error, terminal.log),
    () => `iron-cage: ${error.code}`,
  )

// Not process.exitCode: a write to a pipe without a reader would keep the process alive.
void runCli(process.argv.slice(2), { demo }, terminal).then((code) => process.exit(code))
