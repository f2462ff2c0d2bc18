import type { CircuitView } from '../../../state/snapshot.ts'
import { withClient } from '../../client/offline-client.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'

export const CIRCUIT_HELP = 'As "circuits list" shows it'

/** `circuits reset` and `circuits open`. */
export const changeCommand =
  (verb: 'reset' | 'open', description: string): CliCommand =>
  (terminal) =>
    command({
      command: `${verb} <name>`,
      describe: description,
      builder: (yargs) =>
        withDatabase(yargs)
          .positional('name', { type: 'string', demandOption: true, describe: CIRCUIT_HELP })
          .option('json', { type: 'boolean', describe: 'Print JSON' })
          .example([
            [`$0 circuits ${verb} linkedin_api`, 'of a service'],
            [`$0 circuits ${verb} openai/gpt-4`, 'of one model of a provider'],
          ]),
      handler: async ({ name, json: asJson, ...flags }) => {
        const circuit = await withClient(flags, terminal, (client) =>
          client.send<CircuitView>('POST', `/api/circuits/${pathSegment(name)}/${verb}`),
        )
        terminal.out(asJson ? json(circuit) : `${name}  ${circuit?.state ?? 'closed'}`)
      },
    })
