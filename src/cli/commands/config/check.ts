import { openPriceList } from '../../../budget/pinned-list.ts'
import { requirePlausiblePrices } from '../../../budget/price-jumps.ts'
import { InvalidConfigError } from '../../../config/problems.ts'
import { systemClock } from '../../../core/clock.ts'
import { requireOwnedWildcards } from '../../../egress/open-egress.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { withAgent } from '../../settings/flags.ts'
import { loadServerFlags } from '../../settings/server-flags.ts'

export const checkCommand: CliCommand = (terminal) =>
  command({
    command: 'check',
    describe: 'Check the configuration; exits 2 and lists every problem when something is wrong',
    builder: (yargs) =>
      withAgent(yargs)
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 config check --config iron-cage.toml', 'check a file before it is used']]),
    handler: async ({ json: asJson, ...flags }) => {
      try {
        const { config, origins, file } = loadServerFlags(flags, terminal)
        await requireOwnedWildcards(config.agent.egress ?? {})
        const list = openPriceList(config.price_list)
        await requirePlausiblePrices(config, (key) => origins[key] ?? 'default', { list, atMs: systemClock.now() })
        terminal.out(asJson ? json({ ok: true, file, problems: [] }) : `ok: ${file ?? 'no file, defaults only'}`)
      } catch (error) {
        if (asJson && error instanceof InvalidConfigError) {
          terminal.out(json({ ok: false, problems: error.problems }))
        }
        throw error
      }
    },
  })
