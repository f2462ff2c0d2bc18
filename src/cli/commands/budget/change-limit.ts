/** `budget set` and `budget add`: of an agent by its arguments, of the server or of each run by a flag. */

import type { AgentStatus } from '../../../api/agents.ts'
import type { ConfiguredBudgets } from '../../../api/budgets.ts'
import { CageError } from '../../../errors.ts'
import type { Usd } from '../../../money.ts'
import type { FleetView } from '../../../panel/fleet-view.ts'
import { AGENT_HELP } from '../../agent-id.ts'
import type { ApiClient, ClientFlags } from '../../client.ts'
import { commandWithDatabase } from '../../flags.ts'
import { withClient } from '../../offline-client.ts'
import type { Terminal } from '../../terminal.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'
import { agentPath, showBalance, showConfigured, showShared, USD_HELP } from './balance.ts'

export const commandWithLimit = (name: string) =>
  commandWithDatabase(name)
    .argument('[id]', AGENT_HELP)
    .argument('[usd]', USD_HELP)
    .option('--server <usd>', 'The limit of all agents together')
    .option('--run <usd>', 'The limit of each run')
    .option('--org <usd>', 'The limit of the organization, on the Control Panel at IRON_CAGE_URL')
    .option('--team <name>', 'A team there: budget set --team research 20')
    .option('--user <name>', 'A person there')
    .option('--json', 'Print JSON')

/** The body of the request. */
export type LimitChange = { limit_usd: Usd } | { add_usd: Usd }

interface LimitFlags extends ClientFlags {
  server?: string
  run?: string
  org?: string
  team?: string
  user?: string
  json?: boolean
}

const ONE_BUDGET =
  'name exactly one budget: <id> <usd>, --server <usd>, --run <usd>, --org <usd>, --team <name> <usd> or --user <name> <usd>'

/** `changeOf` reads the amount that was typed. Throws CageError `usage` unless exactly one budget is named. */
export async function changeLimit(
  [id, usd]: readonly [id: string | undefined, usd: string | undefined],
  { server, run, org, team, user, json: asJson, ...flags }: LimitFlags,
  changeOf: (typed: string) => LimitChange,
  terminal: Terminal,
): Promise<void> {
  const shared = { org, team, user }
  if (org !== undefined || team !== undefined || user !== undefined) {
    if (usd !== undefined) throw new CageError('usage', ONE_BUDGET)
    return changeSharedLimit(shared, id, changeOf, asJson, terminal)
  }
  const named = [id, server, run].filter((word) => word !== undefined)
  if (named.length !== 1 || (id === undefined) !== (usd === undefined)) {
    throw new CageError('usage', ONE_BUDGET)
  }
  const change = changeOf(usd ?? named[0]!)
  const send = <Body>(client: ApiClient, path: string) => client.send<Body>('PATCH', path, change)
  await withClient(flags, terminal, async (client) => {
    if (id !== undefined) {
      const status = await send<AgentStatus>(client, `${await agentPath(client, id)}/budget`)
      return showBalance(status, asJson, terminal)
    }
    const path = `/api/budgets/${server === undefined ? 'run' : 'server'}`
    showConfigured(await send<ConfiguredBudgets>(client, path), asJson, terminal)
  })
}

/** `amount`: of a team or a person; the organization's stands with its flag. */
async function changeSharedLimit(
  { org, team, user }: Pick<LimitFlags, 'org' | 'team' | 'user'>,
  amount: string | undefined,
  changeOf: (typed: string) => LimitChange,
  asJson: boolean | undefined,
  terminal: Terminal,
): Promise<void> {
  const isOne = [org, team, user].filter((name) => name !== undefined).length === 1
  if (!isOne || (org === undefined) !== (amount !== undefined)) throw new CageError('usage', ONE_BUDGET)
  const [scope, name] = team === undefined ? ['user', user] : ['team', team]
  const path = org === undefined ? `${scope}/${encodeURIComponent(name!)}` : 'organization'
  const change = changeOf(org ?? amount!)
  const fleet = await connectToPanel(terminal).send<FleetView>('PATCH', `/api/fleet/budgets/${path}`, change)
  showShared(fleet, asJson, terminal)
}
