import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { connectToPanel } from './panel-client.ts'

export const inviteCommand: CliCommand = (terminal) =>
  command({
    command: 'invite',
    describe: 'Create a token with which one machine joins within a week',
    builder: (yargs) =>
      yargs
        .option('team', {
          type: 'string',
          requiresArg: true,
          describe: "Its calls must fit into this team's budget too",
        })
        .option('user', {
          type: 'string',
          requiresArg: true,
          describe: "Its calls must fit into this person's budget too",
        })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 runtimes invite --team research', 'then "iron-cage join" on that machine']]),
    handler: async ({ team = null, user = null, json: asJson }) => {
      const client = connectToPanel(terminal)
      const { token } = await client.send<{ token: string }>('POST', '/api/fleet/invitations', { team, user })
      if (asJson) return terminal.out(json({ token }))
      terminal.out(token)
      terminal.err(`on that machine: iron-cage join ${terminal.env.serverUrl} --token <this token>`)
    },
  })
