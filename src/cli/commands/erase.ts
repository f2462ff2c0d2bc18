import { CageError } from '../../core/errors.ts'
import type { ErasureView } from '../../panel/fleet-view.ts'
import { type CliCommand, command } from '../command.ts'
import { json } from '../output/print.ts'
import { connectToPanel } from './runtimes/panel-client.ts'

export const eraseCommand: CliCommand = (terminal) =>
  command({
    command: 'erase <words..>',
    describe: 'Erase a person from what the Control Panel at IRON_CAGE_URL stores',
    builder: (yargs) =>
      yargs
        .positional('words', {
          type: 'string',
          array: true,
          demandOption: true,
          describe: 'Names and addresses of the person, which one pseudonym replaces as whole words',
        })
        .option('dry-run', { type: 'boolean', describe: 'Count the rows, and change nothing' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['# shows what would be erased', ''],
          ['$0 erase "Jane Doe" jane@example.com --dry-run', ''],
        ]),
    handler: async ({ words, dryRun = false, json: asJson }) => {
      const short = words.find((word) => word.trim().length < MIN_LENGTH)
      if (short !== undefined) {
        throw new CageError('usage', `"${short}" is too short: it would be found in what names nobody`, {
          hint: `give names and addresses of at least ${MIN_LENGTH} characters`,
        })
      }
      const body = { words, dry_run: dryRun }
      const erased = await connectToPanel(terminal).send<ErasureView>('POST', '/api/erasures', body)
      if (asJson) return terminal.out(json(erased))
      const rows = Object.entries(erased.rows).map(([table, count]) => `${table} ${count}`)
      if (rows.length === 0) return terminal.out(`nothing found${dryRun ? '' : ', and nothing was changed'}`)
      const found = dryRun ? 'rows that would be changed' : `replaced by ${erased.pseudonym}; rows changed`
      terminal.out(`${found}: ${rows.join(', ')}`)
    },
  })

const MIN_LENGTH = 2
