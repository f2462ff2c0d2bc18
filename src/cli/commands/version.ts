import { Command } from '@commander-js/extra-typings'
import { isSingleExecutable } from '../../core/package-folder.ts'
import { type CliCommand, examples } from '../command.ts'
import { json } from '../output/print.ts'
import { VERSION } from '../output/version.ts'

export const versionCommand: CliCommand = (terminal) =>
  new Command('version')
    .description('Show the version')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['version --json', 'with the version of Node and the platform']))
    .action(({ json: asJson }) => {
      const platform = `${process.platform}-${process.arch}`
      const facts = { version: VERSION, node: process.versions.node, platform, single_executable: isSingleExecutable() }
      terminal.out(asJson ? json(facts) : `iron-cage ${VERSION}`)
    })
