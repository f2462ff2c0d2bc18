/** `stop`, `pause`, `resume`, `restart`: each asks the server, and prints the state that the agent is in then. */

import type { AgentStatus } from '../../api/agents.ts'
import { parseTypedAmount } from '../../config/amount.ts'
import type { Config } from '../../config/schema.ts'
import { CageError } from '../../core/errors.ts'
import { AGENT_HELP, resolveAgentId } from '../client/agent-id.ts'
import { connect } from '../client/client.ts'
import { isOffline } from '../client/offline-client.ts'
import { pathSegment } from '../client/path-segment.ts'
import { type CliCommand, command } from '../command.ts'
import { json } from '../output/print.ts'
import { withDatabase } from '../settings/flags.ts'
import { readConfig } from '../settings/read-config.ts'

const controlCommand =
  (verb: 'stop' | 'pause' | 'restart', description: string): CliCommand =>
  (terminal) =>
    command({
      command: `${verb} <id>`,
      describe: description,
      builder: (yargs) =>
        withDatabase(yargs)
          .positional('id', { type: 'string', demandOption: true, describe: AGENT_HELP })
          .option('json', { type: 'boolean', describe: 'Print JSON' })
          .example([
            [`$0 ${verb} lg-7a3f9c2d`, 'by its id'],
            [`$0 ${verb} lead_gen_agent`, 'by its name'],
          ]),
      handler: async ({ id: named, json: asJson, ...flags }) => {
        const client = connect(flags, terminal)
        const id = await resolveAgentId(client, named)
        const status = await client.send<AgentStatus>('POST', `/api/agents/${pathSegment(id)}/${verb}`)
        terminal.out(asJson ? json(status) : `${status.agent.id}  ${status.agent.state}`)
      },
    })

export const stopCommand = controlCommand('stop', 'Stop an agent and every process that it started')
export const pauseCommand = controlCommand('pause', 'Suspend an agent; its calls are refused until it is resumed')

export const resumeCommand: CliCommand = (terminal) =>
  command({
    command: 'resume <id>',
    describe: 'Let an agent continue that is paused, was stopped, or has spent its budget or failed',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('id', { type: 'string', demandOption: true, describe: AGENT_HELP })
        .option('add', { type: 'string', requiresArg: true, describe: 'Raise its budget by this first' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['$0 resume lg-7a3f9c2d', 'after a pause, a stop or a crash'],
          ['$0 resume lg-7a3f9c2d --add 25', 'when its budget is spent'],
        ]),
    handler: async ({ id: named, add, json: asJson, ...flags }) => {
      if (terminal.env.serverUrl === undefined) await requireServer((await readConfig(flags, terminal)).config)
      const client = connect(flags, terminal)
      const id = await resolveAgentId(client, named)
      const change = add === undefined ? undefined : { add_usd: parseTypedAmount(add, '--add') }
      const status = await client.send<AgentStatus>('POST', `/api/agents/${pathSegment(id)}/resume`, change)
      terminal.out(asJson ? json(status) : `${status.agent.id}  ${status.agent.state}`)
    },
  })

/** An agent needs its server. Throws CageError `server_unreachable`, with what continues an agent of a server that has ended. */
async function requireServer(config: Config): Promise<void> {
  if (!(await isOffline(config))) return
  throw new CageError('server_unreachable', `no server is running for ${config.db.path}`, {
    hint: 'start the agent again with "iron-cage start": it continues from its last checkpoint, if it saved any',
  })
}

export const restartCommand = controlCommand('restart', 'Start an agent again, stopping it first if it runs')
