import { dirname, resolve } from 'node:path'
import { exitCodeOf } from '../agents/exit-code.ts'
import { openRuntime } from '../runtime.ts'
import { openBrowser } from './browser.ts'
import { loadFlags, withAgentFlags } from './flags.ts'
import { listenForEnd, openLive } from './live.ts'
import { startBlock } from './start-block.ts'
import type { Command } from './terminal.ts'
import { VERSION } from './version.ts'

export const startCommand: Command = (yargs, terminal) =>
  yargs.command(
    'start <script> [args..]',
    "Run an agent in the cage, with its dashboard; exits with the agent's own code",
    (command) =>
      withAgentFlags(command)
        .positional('script', { type: 'string', demandOption: true, describe: 'Python or Node script, or a program' })
        .positional('args', { type: 'string', array: true, default: [], describe: "The agent's own, after --" })
        .option('keep', { type: 'boolean', describe: 'Stay up after the agent has ended' })
        .option('open', { type: 'boolean', describe: 'Open the dashboard in a browser' })
        .example('$0 start agent.py --budget 50', 'with a hard limit of $50')
        .example('$0 start agent.py --safety-mode block -- --leads leads.csv', 'with arguments for the agent'),
    async ({ script, args, keep, open, ...flags }) => {
      const path = resolve(terminal.cwd, script)
      const loaded = loadFlags(flags, terminal, { scriptDir: dirname(path), args })
      const { config, file } = loaded
      const end = listenForEnd(terminal)
      const environment = terminal.env.variables
      const runtime = await openRuntime({ config, configFile: file, environment, version: VERSION })
      const live = openLive(runtime, terminal, () => end.ask('the output was closed'))
      let reason = 'could not start the agent'
      try {
        const { supervisor } = runtime
        const { agentId } = await supervisor.start({ script: path })
        const dashboardLink = runtime.dashboardLink()
        live.begin(startBlock(loaded, { script, agentId, dashboardLink, logPath: runtime.log.path }))
        if (open) openBrowser(dashboardLink, terminal)

        reason = 'the agent has ended'
        const asked = end.asked.then((why) => {
          reason = why
        })
        await Promise.race(keep ? [asked] : [asked, supervisor.whenEnded(agentId)])
        await supervisor.stop(agentId, 'operator')
        terminal.exitCode = exitCodeOf(await supervisor.whenEnded(agentId))
      } finally {
        await runtime.close(reason)
        await live.close()
        end.dispose()
      }
    },
  )
