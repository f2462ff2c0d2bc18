import { FACT_KINDS } from '../../../deploy/facts.ts'
import { type CliCommand, command } from '../../command.ts'
import { loadStrategies } from '../../deploy/strategies.ts'
import { json, table } from '../../output/print.ts'
import { withConfig } from '../../settings/flags.ts'

export const checkStrategiesCommand: CliCommand = (terminal) =>
  command({
    command: 'check',
    describe: 'Check the files of every strategy; exits 1 when one is broken',
    builder: (yargs) =>
      withConfig(yargs)
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 strategies check', 'also those of strategies/ beside the configuration']])
        .epilogue(FACTS),
    handler: ({ json: asJson, ...flags }) => {
      const { usable, broken } = loadStrategies(flags, terminal)
      const results = [
        ...usable.map(({ name, folder }) => ({ name, folder, fault: null })),
        ...broken.map(({ name, folder, error }) => ({ name, folder, fault: error.message })),
      ]
      if (asJson) terminal.out(json({ strategies: results }))
      else for (const { name, folder, fault } of results) terminal.out(fault ?? `${name}: good  ${folder}`)
      terminal.exitCode = broken.length > 0 ? 1 : 0
    },
  })

const FACTS = [
  'Facts that a bullet of Best For, Not For or Resources can begin with, as `kind: value` or `kind: one|other`:',
  ...table(Object.entries(FACT_KINDS).map(([kind, what]) => [`  ${kind}`, what])),
].join('\n')
