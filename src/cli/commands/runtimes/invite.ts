import { Command } from '@commander-js/extra-typings'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../output/print.ts'
import { connectToPanel } from './panel-client.ts'

export const inviteCommand: CliCommand = (terminal) =>
  new Command('invite')
    .description('Create a token with which one machine joins within a week')
    .option('--team <name>', "Its calls must fit into this team's budget too")
    .option('--user <name>', "Its calls must fit into this person's budget too")
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['runtimes invite --team research', 'then "iron-cage join" on that machine']))
    .action(async ({ team = null, user = null, json: asJson }) => {
      const client = connectToPanel(terminal)
      const { token } = await client.send<{ token: string }>('POST', '/api/fleet/invitations', { team, user })
      if (asJson) return terminal.out(json({ token }))
      terminal.out(token)
      terminal.err(`on that machine: iron-cage join ${terminal.env.serverUrl} --token <this token>`)
    })
