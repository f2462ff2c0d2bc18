import type { ModelTrust } from '../../../budget/trust.ts'
import { showUsd } from '../../../core/money.ts'
import { wrapLines } from '../../../log/wrap.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'

export const listModelsCommand: CliCommand = (terminal) =>
  command({
    command: 'list',
    describe: "List what is known of models on servers that are not the vendor's own",
    builder: (yargs) => withDatabase(yargs).option('json', { type: 'boolean', describe: 'Print JSON' }),
    handler: async ({ json: asJson, ...flags }) => {
      const { models } = await withClient(flags, terminal, (client) =>
        client.send<{ models: ModelTrust[] }>('GET', '/api/models'),
      )
      if (asJson) return terminal.out(json(models))
      if (models.length === 0) return terminal.err("nothing is known: only the vendors' own servers were called")
      printTable([HEADER, ...models.map(rowOf)], terminal)
      for (const line of wrapLines(['', LEGEND], terminal.columns)) terminal.out(line)
    },
  })

const HEADER = ['MODEL', 'STATE', 'SINCE', 'HELD', 'OVERRUN']

const LEGEND =
  'HELD: what is reserved for a call, as a multiple of its maximum cost; above 1 after an overrun. OVERRUN: a call that cost more than was reserved for it.'

const rowOf = ({ name, state, since, factor, overrun }: ModelTrust): string[] => [
  name,
  state,
  since,
  `${Number(factor.toFixed(3))} ×`,
  overrun
    ? `${overrun.call_id}: ${showUsd(overrun.claimed_usd)} for a call of up to ${showUsd(overrun.bound_usd)}`
    : '-',
]
