import { parseTypedAmount } from '../../../config/amount.ts'
import { parseTags } from '../../../config/tags.ts'
import { CageError } from '../../../core/errors.ts'
import { withClient } from '../../client/offline-client.ts'
import { saveToken } from '../../client/saved-tokens.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { decimal, TAG_FLAG, withDatabase } from '../../settings/flags.ts'
import type { NewToken } from './new-token.ts'

const DAY_S = 86_400
const MAX_DAYS = 3650

export const createCommand: CliCommand = (terminal) =>
  command({
    command: ['create', 'generate'],
    describe: 'Create a token with its own budget; its value is shown only once',
    builder: (yargs) =>
      withDatabase(yargs)
        .option('name', { type: 'string', requiresArg: true, describe: 'Whose token it is', default: 'client' })
        .option('role', {
          type: 'string',
          requiresArg: true,
          describe: 'agent calls the gateway; viewer and admin call the API',
          choices: ['agent', 'viewer', 'admin'] as const,
          default: 'agent' as const,
        })
        .option('budget', {
          type: 'string',
          requiresArg: true,
          describe: 'Hard limit in US dollars, for the role agent (default: 100)',
        })
        .option('tag', TAG_FLAG)
        .option('days', {
          type: 'string',
          requiresArg: true,
          describe: 'Days until it expires (default: never)',
          coerce: decimal,
        })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['$0 tokens create --name notebook --budget 20', 'then use it as OPENAI_API_KEY'],
          ['# reads /metrics and the API', ''],
          ['$0 tokens create --name prometheus --role viewer', ''],
          ['$0 token generate --name laptop --budget 100', 'on a Control Panel: one machine joins with it'],
        ]),
    handler: async ({ name, role, budget, tag, days, json: asJson, ...flags }) => {
      const budget_usd = budget === undefined ? undefined : parseTypedAmount(budget, '--budget')
      const tags = tag === undefined ? undefined : parseTags(tag)
      const body = { name, role, budget_usd, tags, expires_in_s: secondsOf(days) }
      const created = await withClient(flags, terminal, (client) => client.send<NewToken>('POST', '/api/tokens', body))
      const path = saveToken(created, terminal)
      if (asJson) return terminal.out(json(created))
      terminal.out(created.token)
      // On a Control Panel a token of an agent has no agent yet: a machine joins with it.
      const agentUse =
        created.agent_id === null
          ? `on a machine: iron-cage join ${terminal.env.serverUrl} --token <this token>`
          : 'calls go to <server>/gateway/openai/v1 or /gateway/anthropic'
      const use = role === 'agent' ? agentUse : `its role is ${role}`
      terminal.err(`saved to ${path}; ${use}`)
    },
  })

function secondsOf(days: number | undefined): number | undefined {
  if (days === undefined) return undefined
  if (days > 0 && days <= MAX_DAYS) return Math.round(days * DAY_S)
  throw new CageError('usage', `--days: expected a number of days up to ${MAX_DAYS}, got ${days}`, {
    hint: 'try --days 30',
  })
}
