import { leaves } from '../../../config/config.ts'
import { keyText } from '../../../config/problems.ts'
import type { PolicyView } from '../../../panel/fleet-view.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'

export const showPolicyCommand: CliCommand = (terminal) =>
  command({
    command: 'show',
    describe: 'Show the policy of the organization',
    builder: (yargs) =>
      yargs.option('json', { type: 'boolean', describe: 'Print JSON' }).example([['$0 policy show', '']]),
    handler: async ({ json: asJson }) => {
      const policy = await connectToPanel(terminal).send<PolicyView>('GET', '/api/fleet/policy')
      if (asJson) return terminal.out(json(policy))
      const { settings, environments, revision, updated_by, updated_at } = policy
      const all = [['all', settings ?? {}] as const, ...Object.entries(environments)]
      const rows = all.flatMap(([name, own]) =>
        [...leaves(own)].flatMap(({ key, value }) => (key.length > 0 ? [[name, keyText(key), shown(value)]] : [])),
      )
      if (rows.length === 0) {
        return terminal.err('there is no policy; set one with "iron-cage policy set policy.yaml"')
      }
      printTable(rows, terminal, ['MACHINES', 'SETTING', 'VALUE'])
      terminal.err(`revision ${revision}, by ${updated_by} at ${updated_at}`)
    },
  })

const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
