import { dirname, resolve } from 'node:path'
import { readServerFile } from '../../access/server-file.ts'
import type { AgentSpec } from '../../agents/supervisor.ts'
import type { LoadedConfig } from '../../config/config.ts'
import { CageError } from '../../errors.ts'
import type { AgentId } from '../../ids.ts'
import type { RuntimeParts } from '../../runtime.ts'
import { type CliCommand, examples, typedCommand } from '../command.ts'
import { endBlock } from '../end-block.ts'
import { commandWithAgent, loadFlags } from '../flags.ts'
import { joinServer } from '../join.ts'
import { runAgent } from '../run-agent.ts'

export const startCommand: CliCommand = (terminal) =>
  commandWithAgent('start')
    .description(
      "Run an agent in the cage, in the running server or in one of its own; exits with the agent's own code",
    )
    .argument('<script>', 'Python or Node script, or a program; with -m, a Python module')
    .argument('[args...]', "The agent's own arguments, after --")
    .option('-m, --module', 'Run a Python module, as "python -m" does')
    .option('--keep', 'Keep the server running after the agent has ended')
    .option('--open', 'Open the dashboard in a browser')
    .addHelpText(
      'after',
      examples(
        ['start agent.py --budget 50', 'with a hard limit of $50'],
        ['start agent.py --safety-mode block -- --leads leads.csv', 'with arguments for the agent'],
        ['start -m my_agent', 'a Python module'],
      ),
    )
    .action(async (script, args, { keep, open, module: isModule, ...flags }, { parent }) => {
      const agent: AgentSpec = isModule
        ? { script, kind: 'module' }
        : { script: resolve(terminal.cwd, script), kind: 'script' }
      const scriptDir = isModule ? terminal.cwd : dirname(agent.script)
      const load = () => loadFlags(flags, terminal, { scriptDir, args: args.length > 0 ? args : undefined })
      const loaded = load()
      const command = typedCommand(parent)
      const start = { loaded, script, agent, command, open }
      if (await readServerFile(loaded.config.db.path)) return joinServer(start, terminal)
      const report = (runtime: RuntimeParts, agentId: AgentId, serverStays: boolean) =>
        reportOf(runtime, agentId, { loaded, serverStays, command })
      await runAgent({ ...start, reload: load, keep, report }, terminal).catch((error: unknown) => {
        // Another terminal has started a server meanwhile.
        if (error instanceof CageError && error.code === 'already_running') return joinServer(start, terminal)
        throw error
      })
    })

/** The end block of an agent in this process's server. `command`: the command line that started it. */
export function reportOf(
  runtime: RuntimeParts,
  agentId: AgentId,
  { loaded, serverStays, command }: { loaded: LoadedConfig; serverStays: boolean; command: string },
): string[] {
  const [last] = runtime.state.findEvents({ type: 'budget.exhausted', agentId, limit: 1 })
  const agent = runtime.state.read().agents[agentId]
  return endBlock({
    agentId,
    loaded,
    command,
    state: agent?.state,
    agent,
    wasRefused: runtime.state.findEvents({ type: 'call.refused', agentId, limit: 1 }).length > 0,
    exhausted: last?.type === 'budget.exhausted' ? last.data : undefined,
    dashboardLink: serverStays ? runtime.dashboardLink() : null,
  })
}
