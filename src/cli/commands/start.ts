import { dirname, resolve } from 'node:path'
import { readServerFile } from '../../access/server-file.ts'
import type { AgentSpec } from '../../agents/supervisor.ts'
import type { Policies } from '../../config/policy.ts'
import { CageError } from '../../core/errors.ts'
import type { AgentId } from '../../core/ids.ts'
import type { RuntimeParts } from '../../runtime.ts'
import { type CliCommand, command } from '../command.ts'
import { withAgent } from '../settings/flags.ts'
import { loadServerFlags } from '../settings/server-flags.ts'
import { joinServer } from '../start/join.ts'
import { reportOf, runAgent } from '../start/run-agent.ts'
import { typedCommand } from '../typed-command.ts'

export const startCommand: CliCommand = (terminal, line) =>
  command({
    command: 'start <script> [args..]',
    describe: "Run an agent in the cage, in the running server or in one of its own; exits with the agent's own code",
    builder: (yargs) =>
      withAgent(yargs)
        .positional('script', {
          type: 'string',
          demandOption: true,
          describe: 'Python or Node script, or a program; with -m, a Python module',
        })
        .positional('args', {
          type: 'string',
          array: true,
          default: [],
          describe: "The agent's own arguments, after --",
        })
        .option('module', { alias: 'm', type: 'boolean', describe: 'Run a Python module, as "python -m" does' })
        .option('strategy', {
          type: 'string',
          requiresArg: true,
          describe: 'Deploy it instead, as "iron-cage deploy up" does: auto, or a name',
        })
        .option('keep', { type: 'boolean', describe: 'Keep the server running after the agent has ended' })
        .option('open', { type: 'boolean', describe: 'Open the dashboard in a browser' })
        .example([
          ['$0 start agent.py --budget 50', 'with a hard limit of $50'],
          ['# with arguments for the agent', ''],
          ['$0 start agent.py --safety-mode block -- --leads leads.csv', ''],
          ['$0 start -m my_agent', 'a Python module'],
        ]),
    handler: async ({ script, args: before, '--': after = [], keep, open, module: isModule, strategy, ...flags }) => {
      const args = [...before, ...(after as string[])]
      if (strategy !== undefined) {
        const { deployUp } = await import('./deploy/up.ts')
        return deployUp(script, { ...flags, strategy }, typedCommand(line), terminal)
      }
      const agent: AgentSpec = isModule
        ? { script, kind: 'module' }
        : { script: resolve(terminal.cwd, script), kind: 'script' }
      const scriptDir = isModule ? terminal.cwd : dirname(agent.script)
      const load = (policy?: Policies | null) =>
        loadServerFlags(flags, terminal, { scriptDir, args: args.length > 0 ? args : undefined }, policy)
      const loaded = load()
      const command = typedCommand(line)
      const start = { loaded, script, agent, command, open }
      if (await readServerFile(loaded.config.db.path)) return joinServer(start, terminal)
      const report = (runtime: RuntimeParts, agentId: AgentId, serverStays: boolean) =>
        reportOf(runtime, agentId, { loaded, serverStays, command })
      await runAgent({ ...start, reload: load, keep, report }, terminal).catch((error: unknown) => {
        // Another terminal has started a server meanwhile.
        if (error instanceof CageError && error.code === 'already_running') return joinServer(start, terminal)
        throw error
      })
    },
  })
