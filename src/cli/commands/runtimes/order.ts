import { CageError } from '../../../core/errors.ts'
import type { FleetView, OrderView } from '../../../panel/fleet-view.ts'
import type { OrderAction } from '../../../protocol/control-messages.ts'
import { AGENT_HELP, findAgentId } from '../../client/agent-id.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { connectToPanel } from './panel-client.ts'

const EFFECTS: Record<OrderAction, string> = {
  stop: 'End an agent of another machine',
  pause: 'Let an agent of another machine wait, with its calls',
  resume: 'Let a paused agent of another machine go on',
}

/** Makes the command for one kind of order. */
export const orderCommand =
  (action: OrderAction): CliCommand =>
  (terminal) =>
    command({
      command: `${action} <id>`,
      describe: `${EFFECTS[action]}, at once while that machine is connected`,
      builder: (yargs) =>
        yargs
          .positional('id', { type: 'string', demandOption: true, describe: AGENT_HELP })
          .option('json', { type: 'boolean', describe: 'Print JSON' })
          .example([[`$0 runtimes ${action} lg-7a3f`, '']]),
      handler: async ({ id: named, json: asJson }) => {
        const client = connectToPanel(terminal)
        const { runtimes } = await client.send<FleetView>('GET', '/api/fleet')
        const agents = runtimes.flatMap((runtime) => runtime.agents.map((agent) => ({ ...agent, script: agent.name })))
        const agentId = findAgentId(agents, named)
        const runtime = runtimes.find(({ agents }) => agents.some(({ id }) => id === agentId))
        if (!runtime) {
          throw new CageError('not_found', `no machine has reported an agent "${named}"`, {
            hint: 'the fleet page and "iron-cage runtimes list --json" show the agents of every machine',
          })
        }
        const path = `/api/fleet/runtimes/${pathSegment(runtime.id)}/orders`
        const order = await client.send<OrderView>('POST', path, { agent_id: agentId, action })
        if (asJson) return terminal.out(json(order))
        if (runtime.state === 'connected') terminal.out(`${runtime.name} was asked to ${action} ${agentId}`)
        else terminal.out(`not delivered yet: ${runtime.name} is silent; it will ${action} ${agentId} when it is back`)
      },
    })
