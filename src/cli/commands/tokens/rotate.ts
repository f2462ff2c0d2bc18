import { CageError } from '../../../core/errors.ts'
import { withClient } from '../../client/offline-client.ts'
import { saveToken } from '../../client/saved-tokens.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { decimal, withDatabase } from '../../settings/flags.ts'
import { type NewToken, TOKEN_HELP, tokenPath } from './new-token.ts'

const HOUR_S = 3_600
const MAX_OVERLAP_HOURS = 720

export const rotateTokenCommand: CliCommand = (terminal) =>
  command({
    command: 'rotate <id>',
    describe: 'Replace a token, which keeps working for a while; the new value is shown only once',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('id', { type: 'string', demandOption: true, describe: TOKEN_HELP })
        .option('overlap-hours', {
          type: 'string',
          requiresArg: true,
          describe: 'How long the old token keeps working; 0 ends it at once',
          default: '24',
          coerce: decimal,
        })
        .option('json', { type: 'boolean', describe: 'Print JSON' }),
    handler: async ({ id, overlapHours, json: asJson, ...flags }) => {
      const overlap_s = overlapOf(overlapHours)
      const created = await withClient(flags, terminal, (client) =>
        client.send<NewToken>('POST', `${tokenPath(id)}/rotate`, { overlap_s }),
      )
      const path = saveToken(created, terminal)
      if (asJson) return terminal.out(json(created))
      terminal.out(created.token)
      const old = overlap_s === 0 ? 'has ended' : `works for another ${overlapHours} h`
      terminal.err(`saved to ${path}; the old token, ${id}, ${old}`)
    },
  })

function overlapOf(hours: number): number {
  if (hours >= 0 && hours <= MAX_OVERLAP_HOURS) return Math.round(hours * HOUR_S)
  throw new CageError('usage', `--overlap-hours: expected a number of hours up to ${MAX_OVERLAP_HOURS}, got ${hours}`, {
    hint: 'try --overlap-hours 24',
  })
}
