import { Command } from '@commander-js/extra-typings'
import type { ErasureView } from '../../panel/fleet-view.ts'
import { type CliCommand, examples } from '../command.ts'
import { json } from '../print.ts'
import { connectToPanel } from './runtimes/panel-client.ts'

export const eraseCommand: CliCommand = (terminal) =>
  new Command('erase')
    .description('Erase a person from what the Control Panel at IRON_CAGE_URL stores')
    .argument('<words...>', 'Names and addresses of the person, which one pseudonym replaces as whole words')
    .option('--dry-run', 'Count the rows, and change nothing')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['erase "Jane Doe" jane@example.com --dry-run', 'shows what would be erased']))
    .action(async (words, { dryRun = false, json: asJson }) => {
      const body = { words, dry_run: dryRun }
      const erased = await connectToPanel(terminal).send<ErasureView>('POST', '/api/erasures', body)
      if (asJson) return terminal.out(json(erased))
      const rows = Object.entries(erased.rows).map(([table, count]) => `${count} of ${table}`)
      const where = rows.length === 0 ? 'no rows' : `rows: ${rows.join(', ')}`
      terminal.out(dryRun ? `would be erased from ${where}` : `${erased.pseudonym} stands for them, in ${where}`)
    })
