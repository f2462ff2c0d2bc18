import type { ModelTrust } from '../../../budget/trust.ts'
import { connect } from '../../client/client.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../output/print.ts'
import { commandWithDatabase } from '../../settings/flags.ts'

export const trustModelCommand: CliCommand = (terminal) =>
  commandWithDatabase('trust')
    .description('Trust a model, or all models of a provider, to respect the limits of their calls')
    .argument('<name>', 'provider/model, or a provider')
    .option('--json', 'Print JSON')
    .addHelpText(
      'after',
      examples(
        ['models trust openrouter/openai/gpt-4o', 'after checking its bill'],
        ['models trust vllm', 'a server of your own: its first calls then need not run one at a time'],
      ),
    )
    .action(async (name, { json: asJson, ...flags }) => {
      const client = connect(flags, terminal)
      const model = await client.send<ModelTrust>('POST', `/api/models/${pathSegment(name)}/trust`)
      terminal.out(asJson ? json(model) : `${model.name}  ${model.state}`)
    })
