import type { ModelTrust } from '../budget/trust.ts'
import { showUsd } from '../money.ts'
import { connect } from './client.ts'
import { withDatabaseFlags } from './flags.ts'
import { json, table } from './print.ts'
import type { Command } from './terminal.ts'

export const modelsCommand: Command = (yargs, terminal) =>
  yargs.command('models', 'Which models obey the limits of their calls, and which are refused', (group) =>
    group
      .command(
        'list',
        "List what is known of the models of providers that are not the vendors' own",
        (command) => withDatabaseFlags(command).option('json', { type: 'boolean', describe: 'Write JSON' }),
        async ({ json: asJson, ...flags }) => {
          const { models } = await connect(flags, terminal).send<{ models: ModelTrust[] }>('GET', '/api/models')
          if (asJson) return terminal.out(json(models))
          if (models.length === 0) return terminal.err("nothing is known: only the vendors' own servers were called")
          table([HEADER, ...models.map(rowOf)]).forEach(terminal.out)
        },
      )
      .command(
        'trust <name>',
        'Trust a model, or all models of a provider, to obey the limits of their calls',
        (command) =>
          withDatabaseFlags(command)
            .positional('name', { type: 'string', demandOption: true, describe: 'provider/model, or a provider' })
            .option('json', { type: 'boolean', describe: 'Write JSON' })
            .example('$0 models trust openrouter/openai/gpt-4o', 'after a look at its bill')
            .example('$0 models trust vllm', "one's own server: its first calls need not go one at a time"),
        async ({ name, json: asJson, ...flags }) => {
          const client = connect(flags, terminal)
          const model = await client.send<ModelTrust>('POST', `/api/models/${encodeURIComponent(name)}/trust`)
          terminal.out(asJson ? json(model) : `${model.name}  ${model.state}`)
        },
      )
      .demandCommand(1, 'a command is missing'),
  )

const HEADER = ['MODEL', 'STATE', 'SINCE', 'HELD AT', 'OVERRUN']

const rowOf = ({ name, state, since, factor, overrun }: ModelTrust): string[] => [
  name,
  state,
  since,
  `× ${Number(factor.toFixed(3))}`,
  overrun
    ? `${overrun.call_id}: ${showUsd(overrun.claimed_usd)} for a call of up to ${showUsd(overrun.bound_usd)}`
    : '-',
]
