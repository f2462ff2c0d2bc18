import type { ModelTrust } from '../../../budget/trust.ts'
import { connect } from '../../client/client.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'

export const trustModelCommand: CliCommand = (terminal) =>
  command({
    command: 'trust <name>',
    describe: 'Trust a model, or all models of a provider, to respect the limits of their calls',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('name', { type: 'string', demandOption: true, describe: 'provider/model, or a provider' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['$0 models trust openrouter/openai/gpt-4o', 'after checking its bill'],
          ['$0 models trust vllm', 'a server of your own: its first calls then need not run one at a time'],
        ]),
    handler: async ({ name, json: asJson, ...flags }) => {
      const client = connect(flags, terminal)
      const model = await client.send<ModelTrust>('POST', `/api/models/${pathSegment(name)}/trust`)
      terminal.out(asJson ? json(model) : `${model.name}  ${model.state}`)
    },
  })
