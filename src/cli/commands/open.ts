import { readServerFile } from '../../access/server-file.ts'
import type { Policies } from '../../config/policy.ts'
import { connectToDatabase, dashboardLink } from '../client/client.ts'
import { type CliCommand, command } from '../command.ts'
import { withServer } from '../settings/flags.ts'
import { loadServerFlags } from '../settings/server-flags.ts'
import { openBrowser } from '../start/browser.ts'
import { serve } from './serve.ts'

export const openCommand: CliCommand = (terminal) =>
  command({
    command: 'open',
    describe: 'Open the dashboard, also on the database of agents that have ended',
    builder: (yargs) => withServer(yargs).example([['$0 open --db iron_demo.db', 'what the demo has left']]),
    handler: async ({ ...flags }) => {
      const load = (policy?: Policies | null) => loadServerFlags(flags, terminal, {}, policy)
      const { path } = load().config.db
      if (!(await readServerFile(path))) return serve({ load, open: true, untilStdinEnds: false }, terminal)
      const link = await dashboardLink(connectToDatabase(path))
      terminal.out(link)
      openBrowser(link, terminal)
    },
  })
