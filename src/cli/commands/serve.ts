import type { Load } from '../../redaction/reload.ts'
import { type CliCommand, command } from '../command.ts'
import type { Terminal } from '../output/terminal.ts'
import { VERSION } from '../output/version.ts'
import { withServer } from '../settings/flags.ts'
import { loadServerFlags } from '../settings/server-flags.ts'
import { openBrowser } from '../start/browser.ts'
import { listenForEnd, openLive } from '../start/live.ts'
import { startBlock } from '../start/start-block.ts'

export const serveCommand: CliCommand = (terminal) =>
  command({
    command: 'serve',
    describe: 'Run the server and its dashboard without an agent',
    builder: (yargs) =>
      withServer(yargs)
        .option('until-stdin-ends', {
          type: 'boolean',
          describe: 'Stop when standard input ends, as it does when the program that started this one is gone',
        })
        .option('open', { type: 'boolean', describe: 'Open the dashboard in a browser' })
        .example([['$0 serve --port 9090', 'on another port']]),
    handler: ({ open, untilStdinEnds, ...flags }) =>
      serve({ load: (policy) => loadServerFlags(flags, terminal, {}, policy), open, untilStdinEnds }, terminal),
  })

interface ServeOptions {
  /** Reads the configuration: once at the start, and again on a reload. */
  load: Load
  open: boolean | undefined
  untilStdinEnds: boolean | undefined
}

export async function serve({ load, open, untilStdinEnds }: ServeOptions, terminal: Terminal): Promise<void> {
  const loaded = load()
  const end = listenForEnd(terminal)
  if (untilStdinEnds) process.stdin.once('close', () => end.ask('standard input ended')).resume()
  const environment = terminal.env.variables
  const { openParts } = await import('../../runtime.ts')
  const runtime = await openParts({
    config: loaded.config,
    origins: loaded.origins,
    configFile: loaded.file,
    reload: load,
    environment,
    ...terminal.env.readMasterKey(),
    version: VERSION,
  })
  end.onReload = () => runtime.reload()
  terminal.log = runtime.log
  const live = openLive(runtime, terminal, { onClosed: () => end.ask('the output was closed') })
  let reason = 'could not show the server'
  try {
    const dashboardLink = runtime.dashboardLink()
    const keys = { vault: runtime.vault, variables: environment }
    const limits = runtime.state.read()
    const shared = await runtime.sharedBudget()
    const logPath = runtime.log.path
    live.begin(startBlock(loaded, { script: null, agentId: null, dashboardLink, logPath, keys, limits, shared }))
    if (open) openBrowser(dashboardLink, terminal)
    reason = await end.asked
  } finally {
    await runtime.close(reason)
    await live.close()
    end.dispose()
  }
}
