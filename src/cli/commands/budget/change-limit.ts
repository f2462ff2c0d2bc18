/** `budget set` and `budget add`: of an agent by its arguments, of the server or of each run by a flag. */

import type { AgentStatus } from '../../../api/agents.ts'
import type { ConfiguredBudgets } from '../../../api/budgets.ts'
import { CageError } from '../../../errors.ts'
import type { Usd } from '../../../money.ts'
import { AGENT_HELP } from '../../agent-id.ts'
import type { ApiClient, ClientFlags } from '../../client.ts'
import { commandWithDatabase } from '../../flags.ts'
import { withClient } from '../../offline-client.ts'
import type { Terminal } from '../../terminal.ts'
import { agentPath, showBalance, showConfigured, USD_HELP } from './balance.ts'

export const commandWithLimit = (name: string) =>
  commandWithDatabase(name)
    .argument('[id]', AGENT_HELP)
    .argument('[usd]', USD_HELP)
    .option('--server <usd>', 'The limit of all agents together')
    .option('--run <usd>', 'The limit of each run')
    .option('--json', 'Print JSON')

/** The body of the request. */
export type LimitChange = { limit_usd: Usd } | { add_usd: Usd }

interface LimitFlags extends ClientFlags {
  server?: string
  run?: string
  json?: boolean
}

/** `changeOf` reads the amount that was typed. Throws CageError `usage` unless exactly one budget is named. */
export async function changeLimit(
  [id, usd]: readonly [id: string | undefined, usd: string | undefined],
  { server, run, json: asJson, ...flags }: LimitFlags,
  changeOf: (typed: string) => LimitChange,
  terminal: Terminal,
): Promise<void> {
  const named = [id, server, run].filter((word) => word !== undefined)
  if (named.length !== 1 || (id === undefined) !== (usd === undefined)) {
    throw new CageError('usage', 'name exactly one budget: <id> <usd>, --server <usd> or --run <usd>')
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
