/** `budget set` and `budget add`: of an agent by its arguments, of the server or of each run by a flag. */

import type { Argv } from 'yargs'
import type { AgentStatus } from '../../../api/agents.ts'
import type { ConfiguredBudgets } from '../../../api/budgets.ts'
import { CageError } from '../../../core/errors.ts'
import type { Usd } from '../../../core/money.ts'
import type { FleetView, SharedBudgetView } from '../../../panel/fleet-view.ts'
import { AGENT_HELP } from '../../client/agent-id.ts'
import type { ApiClient, ClientFlags } from '../../client/client.ts'
import { withClient } from '../../client/offline-client.ts'
import { pathSegment } from '../../client/path-segment.ts'
import type { Terminal } from '../../output/terminal.ts'
import { withDatabase } from '../../settings/flags.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'
import { agentPath, showBalance, showConfigured, showShared, USD_HELP } from './balance.ts'

export const withLimit = <Flags>(yargs: Argv<Flags>) =>
  withDatabase(yargs)
    .positional('id', { type: 'string', describe: AGENT_HELP })
    .positional('usd', { type: 'string', describe: USD_HELP })
    .option('server', { type: 'string', requiresArg: true, describe: 'The limit of all agents together' })
    .option('run', { type: 'string', requiresArg: true, describe: 'The limit of each run' })
    .option('org', {
      type: 'string',
      requiresArg: true,
      describe: 'The limit of the organization, on the Control Panel at IRON_CAGE_URL',
    })
    .option('team', { type: 'string', requiresArg: true, describe: 'A team there: budget set --team research 20' })
    .option('user', { type: 'string', requiresArg: true, describe: 'A person there' })
    .option('agent', { type: 'string', requiresArg: true, describe: 'An agent there, by its name, on all machines' })
    .option('token', { type: 'string', requiresArg: true, describe: 'An API token of machines there, by its name' })
    .option('period', {
      requiresArg: true,
      choices: ['day', 'month', 'none'] as const,
      describe: 'How often a limit there renews, in UTC (default: as before; at first none)',
    })
    .option('json', { type: 'boolean', describe: 'Print JSON' })

/** The body of the request. */
export type LimitChange = { limit_usd: Usd } | { add_usd: Usd }

interface LimitFlags extends ClientFlags {
  server?: string
  run?: string
  org?: string
  team?: string
  user?: string
  agent?: string
  token?: string
  period?: 'day' | 'month' | 'none'
  json?: boolean
}

const ONE_BUDGET =
  'name exactly one budget: <id> <usd>, --server <usd>, --run <usd>, --org <usd>, or --team, --user, --agent or --token with <name> <usd>'

/** `changeOf` reads the amount that was typed. Throws CageError `usage` unless exactly one budget is named. */
export async function changeLimit(
  [id, usd]: readonly [id: string | undefined, usd: string | undefined],
  { server, run, org, team, user, agent, token, period, json: asJson, ...flags }: LimitFlags,
  changeOf: (typed: string) => LimitChange,
  terminal: Terminal,
): Promise<void> {
  const shared = { organization: org, team, user, agent, token }
  if (Object.values(shared).some((name) => name !== undefined)) {
    if (usd !== undefined) throw new CageError('usage', ONE_BUDGET)
    const renews = period === undefined ? {} : { period: period === 'none' ? null : period }
    return changeSharedLimit(shared, id, (typed) => ({ ...changeOf(typed), ...renews }), asJson, terminal)
  }
  if (period !== undefined) throw new CageError('usage', '--period is for budgets of a Control Panel')
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

/** `amount`: the organization's stands with its flag instead. */
async function changeSharedLimit(
  shared: Record<SharedBudgetView['scope'], string | undefined>,
  amount: string | undefined,
  changeOf: (typed: string) => LimitChange & { period?: SharedBudgetView['period'] },
  asJson: boolean | undefined,
  terminal: Terminal,
): Promise<void> {
  const named = Object.entries(shared).flatMap(([scope, name]) => (name === undefined ? [] : [{ scope, name }]))
  const [{ scope, name }] = named as [{ scope: string; name: string }]
  const isOfAll = scope === 'organization'
  if (named.length !== 1 || isOfAll !== (amount === undefined)) throw new CageError('usage', ONE_BUDGET)
  const path = isOfAll ? scope : `${scope}/${pathSegment(name)}`
  const change = changeOf(amount ?? name)
  const fleet = await connectToPanel(terminal).send<FleetView>('PATCH', `/api/fleet/budgets/${path}`, change)
  showShared(fleet, asJson, terminal)
}
