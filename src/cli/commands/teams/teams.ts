import { Command } from '@commander-js/extra-typings'
import type { TeamsView } from '../../../panel/fleet-view.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, examples, group } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'

export const teamsCommand: CliCommand = (terminal) =>
  group(
    'teams',
    'Show and change who is in which team, on the Control Panel at IRON_CAGE_URL',
    [listTeamsCommand, addTeamMemberCommand, removeTeamMemberCommand],
    terminal,
  )

const listTeamsCommand: CliCommand = (terminal) =>
  new Command('list')
    .description('List the people of teams')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['teams list', '']))
    .action(async ({ json: asJson }) => {
      const { members } = await connectToPanel(terminal).send<TeamsView>('GET', '/api/fleet/teams')
      if (asJson) return terminal.out(json(members))
      printTable(
        members.map(({ team, username, role }) => [team, username, role]),
        terminal,
        ['TEAM', 'USER', 'ROLE'],
      )
      if (members.length === 0) terminal.err('nobody is in a team; add somebody with "iron-cage teams add"')
    })

const addTeamMemberCommand: CliCommand = (terminal) =>
  new Command('add')
    .description('Put a user into a team that has a budget')
    .argument('<team>', 'The team')
    .argument('<username>', 'The user')
    .option('--lead', "Lets the user decide on what the team's people ask for themselves, within the team's limit")
    .addHelpText('after', examples(['teams add research grace', ''], ['teams add research ada --lead', '']))
    .action(async (team, username, { lead }) => {
      await connectToPanel(terminal).send('PUT', pathOf(team, username), { role: lead ? 'lead' : 'member' })
      terminal.err(`${username} is ${lead ? 'a lead' : 'a member'} of ${team}`)
    })

const removeTeamMemberCommand: CliCommand = (terminal) =>
  new Command('remove')
    .description('Remove a user from a team')
    .argument('<team>', 'The team')
    .argument('<username>', 'The user')
    .addHelpText('after', examples(['teams remove research grace', '']))
    .action(async (team, username) => {
      await connectToPanel(terminal).send('DELETE', pathOf(team, username))
      terminal.err(`${username} is no longer in ${team}`)
    })

const pathOf = (team: string, username: string): string =>
  `/api/fleet/teams/${pathSegment(team)}/members/${pathSegment(username)}`
