import { readServerFile } from '../../access/server-file.ts'
import type { Policies } from '../../config/policy.ts'
import { connectToDatabase, dashboardLink } from '../client/client.ts'
import { type CliCommand, examples } from '../command.ts'
import { commandWithServer } from '../settings/flags.ts'
import { loadServerFlags } from '../settings/server-flags.ts'
import { openBrowser } from '../start/browser.ts'
import { serve } from './serve.ts'

export const openCommand: CliCommand = (terminal) =>
  commandWithServer('open')
    .description('Open the dashboard, also on the database of agents that have ended')
    .addHelpText('after', examples(['open --db iron_demo.db', 'what the demo has left']))
    .action(async (flags) => {
      const load = (policy?: Policies | null) => loadServerFlags(flags, terminal, {}, policy)
      const { path } = load().config.db
      if (!(await readServerFile(path))) return serve({ load, open: true, untilStdinEnds: false }, terminal)
      const link = await dashboardLink(connectToDatabase(path))
      terminal.out(link)
      openBrowser(link, terminal)
    })
