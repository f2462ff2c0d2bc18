/** `stop`, `pause`, `resume`, `restart`: each asks the server and tells what state the agent is in then. */
import { AGENT_HELP, agentIdOf } from './agent-id.ts'
import { type AgentStatus, connect } from './client.ts'
import { withDatabaseFlags } from './flags.ts'
import { json } from './print.ts'
import type { Command } from './terminal.ts'

const controlCommand =
  (verb: 'stop' | 'pause' | 'resume' | 'restart', describe: string): Command =>
  (yargs, terminal) =>
    yargs.command(
      `${verb} <id>`,
      describe,
      (command) =>
        withDatabaseFlags(command)
          .positional('id', { type: 'string', demandOption: true, describe: AGENT_HELP })
          .option('json', { type: 'boolean', describe: 'Write JSON' })
          .example(`$0 ${verb} lg-7a3f9c2d`, describe.toLowerCase())
          .example(`$0 ${verb} lead_gen_agent`, 'by its name'),
      async ({ id: named, json: asJson, ...flags }) => {
        const client = connect(flags, terminal)
        const id = await agentIdOf(client, named)
        const status = await client.send<AgentStatus>('POST', `/api/agents/${encodeURIComponent(id)}/${verb}`)
        terminal.out(asJson ? json(status) : `${status.agent.id}  ${status.agent.state}`)
      },
    )

export const stopCommand = controlCommand('stop', 'Stop an agent and all it started')
export const pauseCommand = controlCommand('pause', 'Pause an agent: it stands still and its calls are refused')
export const resumeCommand = controlCommand('resume', 'Let a paused agent go on')
export const restartCommand = controlCommand('restart', 'Stop an agent, if it runs, and start it again')
