import type { CircuitView } from '../../../state/snapshot.ts'
import { withClient } from '../../client/offline-client.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../output/print.ts'
import { commandWithDatabase } from '../../settings/flags.ts'

export const CIRCUIT_HELP = 'As "circuits list" shows it'

/** `circuits reset` and `circuits open`. */
export const changeCommand =
  (verb: 'reset' | 'open', description: string): CliCommand =>
  (terminal) =>
    commandWithDatabase(verb)
      .description(description)
      .argument('<name>', CIRCUIT_HELP)
      .option('--json', 'Print JSON')
      .addHelpText(
        'after',
        examples(
          [`circuits ${verb} linkedin_api`, 'of a service'],
          [`circuits ${verb} openai/gpt-4`, 'of one model of a provider'],
        ),
      )
      .action(async (name, { json: asJson, ...flags }) => {
        const circuit = await withClient(flags, terminal, (client) =>
          client.send<CircuitView>('POST', `/api/circuits/${pathSegment(name)}/${verb}`),
        )
        terminal.out(asJson ? json(circuit) : `${name}  ${circuit?.state ?? 'closed'}`)
      })
