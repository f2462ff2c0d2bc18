import { dirname, resolve } from 'node:path'
import { readServerFile } from '../access/server-file.ts'
import { CageError } from '../errors.ts'
import { endBlock } from './end-block.ts'
import { loadFlags, withAgentFlags } from './flags.ts'
import { joinServer } from './join.ts'
import { type AgentShow, runAgent } from './run-agent.ts'
import { afterDashes, type Command } from './terminal.ts'

export const startCommand: Command = (yargs, terminal) =>
  yargs.command(
    'start <script> [args..]',
    "Run an agent in the cage, in the server that runs or in one of its own; exits with the agent's own code",
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
      const given = { scriptDir: dirname(path), args: [...args, ...afterDashes(flags)] }
      const load = () => loadFlags(flags, terminal, given)
      const loaded = load()
      const joining = { loaded, script, path, open }
      if (await readServerFile(loaded.config.db.path)) return joinServer(joining, terminal)
      const report: AgentShow['report'] = (runtime, agentId, serverStays) => {
        const [last] = runtime.state.findEvents({ type: 'budget.exhausted', agentId, limit: 1 })
        return endBlock({
          agentId,
          loaded,
          state: runtime.state.read().agents[agentId]?.state,
          exhausted: last?.type === 'budget.exhausted' ? last.data : undefined,
          dashboardLink: serverStays ? runtime.dashboardLink() : null,
        })
      }
      await runAgent({ ...joining, reload: load, keep, report }, terminal).catch((error: unknown) => {
        // Another terminal was faster.
        if (error instanceof CageError && error.code === 'already_running') return joinServer(joining, terminal)
        throw error
      })
    },
  )
