import type { ApiToken } from '../access/api-tokens.ts'
import { parseTypedAmount } from '../config/amount.ts'
import { CageError } from '../errors.ts'
import { withDatabaseFlags } from './flags.ts'
import { json, table } from './print.ts'
import { saveToken } from './saved-tokens.ts'
import { withAccess } from './stored-api.ts'
import type { Command } from './terminal.ts'

const DAY_S = 86_400
const HOUR_S = 3_600

type NewToken = ApiToken & { token: string }

export const tokensCommand: Command = (yargs, terminal) =>
  yargs.command(
    ['tokens', 'token'],
    'Keys for clients that are not supervised: an IDE, a notebook, a script',
    (tokens) =>
      tokens
        .command(
          ['create', 'generate'],
          'Make a token with a budget of its own; it is shown this once',
          (command) =>
            withDatabaseFlags(command)
              .option('name', { type: 'string', requiresArg: true, default: 'client', describe: 'Whose it is' })
              .option('budget', {
                type: 'string',
                requiresArg: true,
                default: '100',
                describe: 'Hard limit in US dollars',
              })
              .option('days', { type: 'number', requiresArg: true, describe: 'Days until it ends (default: never)' })
              .option('json', { type: 'boolean', describe: 'Write JSON' })
              .example('$0 tokens create --name notebook --budget 20', 'then use it as OPENAI_API_KEY'),
          async ({ name, budget, days, json: asJson, ...flags }) => {
            const body = { name, budget_usd: parseTypedAmount(budget, '--budget'), expires_in_s: secondsOf(days) }
            const created = await withAccess(flags, terminal, (client) =>
              client.send<NewToken>('POST', '/api/tokens', body),
            )
            const path = saveToken(created, terminal)
            if (asJson) return terminal.out(json(created))
            terminal.out(created.token)
            terminal.err(`saved to ${path}; calls go to <server>/gateway/openai/v1 or /gateway/anthropic`)
          },
        )
        .command(
          'list',
          'Show the tokens, not their values',
          (command) => withDatabaseFlags(command).option('json', { type: 'boolean', describe: 'Write JSON' }),
          async ({ json: asJson, ...flags }) => {
            const { tokens: rows } = await withAccess(flags, terminal, (client) =>
              client.send<{ tokens: ApiToken[] }>('GET', '/api/tokens'),
            )
            if (asJson) return terminal.out(json(rows))
            table(rows.map(tokenRow)).forEach(terminal.out)
            if (rows.length === 0) terminal.err('there are no tokens yet; make one with "iron-cage tokens create"')
          },
        )
        .command(
          'rotate <id>',
          'Make another token in place of one, which works on for a while; it is shown this once',
          (command) =>
            withDatabaseFlags(command)
              .positional('id', { type: 'string', demandOption: true, describe: 'As "tokens list" shows it' })
              .option('overlap-hours', {
                type: 'number',
                requiresArg: true,
                default: 24,
                describe: 'How long the old one still works; 0 ends it at once',
              })
              .option('json', { type: 'boolean', describe: 'Write JSON' }),
          async ({ id, overlapHours, json: asJson, ...flags }) => {
            const overlap_s = overlapOf(overlapHours)
            const created = await withAccess(flags, terminal, (client) =>
              client.send<NewToken>('POST', `${pathOf(id)}/rotate`, { overlap_s }),
            )
            const path = saveToken(created, terminal)
            if (asJson) return terminal.out(json(created))
            terminal.out(created.token)
            const old = overlap_s === 0 ? 'has ended' : `works for another ${overlapHours} h`
            terminal.err(`saved to ${path}; the token before, ${id}, ${old}`)
          },
        )
        .command(
          'revoke <id>',
          'End a token at once',
          (command) =>
            withDatabaseFlags(command).positional('id', {
              type: 'string',
              demandOption: true,
              describe: 'As "tokens list" shows it',
            }),
          async ({ id, ...flags }) => {
            await withAccess(flags, terminal, (client) => client.send('DELETE', pathOf(id)))
            terminal.err(`token ${id} has ended`)
          },
        )
        .demandCommand(1, 'tokens needs one of: create, list, rotate, revoke'),
  )

const tokenRow = ({ id, name, role, agent_id, expires_at, revoked_at }: ApiToken): string[] => [
  id,
  name,
  role,
  agent_id ?? '–',
  revoked_at ? `revoked ${revoked_at}` : expires_at ? `until ${expires_at}` : 'without end',
]

function secondsOf(days: number | undefined): number | undefined {
  if (days === undefined) return undefined
  if (days > 0 && days <= 3650) return Math.round(days * DAY_S)
  throw new CageError('usage', `--days: expected a number of days up to 3650, got ${days}`, { hint: 'try --days 30' })
}

function overlapOf(hours: number): number {
  if (hours >= 0 && hours <= 720) return Math.round(hours * HOUR_S)
  throw new CageError('usage', `--overlap-hours: expected a number of hours up to 720, got ${hours}`, {
    hint: 'try --overlap-hours 24',
  })
}

const pathOf = (id: string): string => `/api/tokens/${encodeURIComponent(id)}`
