import { openRuntime } from '../runtime.ts'
import { openBrowser } from './browser.ts'
import { loadFlags, withServerFlags } from './flags.ts'
import { listenForEnd, openLive } from './live.ts'
import { startBlock } from './start-block.ts'
import type { Command } from './terminal.ts'
import { VERSION } from './version.ts'

export const serveCommand: Command = (yargs, terminal) =>
  yargs.command(
    'serve',
    'Run the server and its dashboard without an agent',
    (command) =>
      withServerFlags(command)
        .option('until-stdin-ends', {
          type: 'boolean',
          describe: 'Stop when standard input ends, as it does when the program that started this one is gone',
        })
        .option('open', { type: 'boolean', describe: 'Open the dashboard in a browser' })
        .example('$0 serve --port 9090', 'on another port'),
    async ({ open, untilStdinEnds, ...flags }) => {
      const loaded = loadFlags(flags, terminal)
      const { config, origins, file } = loaded
      const end = listenForEnd(terminal)
      if (untilStdinEnds) process.stdin.once('close', () => end.ask('standard input ended')).resume()
      const environment = terminal.env.variables
      const reload = () => loadFlags(flags, terminal)
      const runtime = await openRuntime({
        config,
        origins,
        configFile: file,
        reload,
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
        const facts = { script: null, agentId: null, dashboardLink, logPath: runtime.log.path, keys, limits }
        live.begin(startBlock(loaded, facts))
        if (open) openBrowser(dashboardLink, terminal)
        reason = await end.asked
      } finally {
        await runtime.close(reason)
        await live.close()
        end.dispose()
      }
    },
  )
