import type { TeamsView } from '../../../panel/fleet-view.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, command, group } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'

export const teamsCommand: CliCommand = (terminal, line) =>
  group(
    'teams',
    'Show and change who is in which team, on the Control Panel at IRON_CAGE_URL',
    [listTeamsCommand, addTeamMemberCommand, removeTeamMemberCommand],
    terminal,
    line,
  )

const listTeamsCommand: CliCommand = (terminal) =>
  command({
    command: 'list',
    describe: 'List the people of teams',
    builder: (yargs) =>
      yargs.option('json', { type: 'boolean', describe: 'Print JSON' }).example([['$0 teams list', '']]),
    handler: async ({ json: asJson }) => {
      const { members } = await connectToPanel(terminal).send<TeamsView>('GET', '/api/fleet/teams')
      if (asJson) return terminal.out(json(members))
      printTable(
        members.map(({ team, username, role }) => [team, username, role]),
        terminal,
        ['TEAM', 'USER', 'ROLE'],
      )
      if (members.length === 0) terminal.err('nobody is in a team; add somebody with "iron-cage teams add"')
    },
  })

const addTeamMemberCommand: CliCommand = (terminal) =>
  command({
    command: 'add <team> <username>',
    describe: 'Put a user into a team that has a budget',
    builder: (yargs) =>
      yargs
        .positional('team', { type: 'string', demandOption: true, describe: 'The team' })
        .positional('username', { type: 'string', demandOption: true, describe: 'The user' })
        .option('lead', {
          type: 'boolean',
          describe: "Lets the user decide on what the team's people ask for themselves, within the team's limit",
        })
        .example([
          ['$0 teams add research grace', ''],
          ['$0 teams add research ada --lead', ''],
        ]),
    handler: async ({ team, username, lead }) => {
      await connectToPanel(terminal).send('PUT', pathOf(team, username), { role: lead ? 'lead' : 'member' })
      terminal.err(`${username} is ${lead ? 'a lead' : 'a member'} of ${team}`)
    },
  })

const removeTeamMemberCommand: CliCommand = (terminal) =>
  command({
    command: 'remove <team> <username>',
    describe: 'Remove a user from a team',
    builder: (yargs) =>
      yargs
        .positional('team', { type: 'string', demandOption: true, describe: 'The team' })
        .positional('username', { type: 'string', demandOption: true, describe: 'The user' })
        .example([['$0 teams remove research grace', '']]),
    handler: async ({ team, username }) => {
      await connectToPanel(terminal).send('DELETE', pathOf(team, username))
      terminal.err(`${username} is no longer in ${team}`)
    },
  })

const pathOf = (team: string, username: string): string =>
  `/api/fleet/teams/${pathSegment(team)}/members/${pathSegment(username)}`
