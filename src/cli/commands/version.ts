import { isSingleExecutable } from '../../core/package-folder.ts'
import { type CliCommand, command } from '../command.ts'
import { json } from '../output/print.ts'
import { VERSION } from '../output/version.ts'

export const versionCommand: CliCommand = (terminal) =>
  command({
    command: 'version',
    describe: 'Show the version',
    builder: (yargs) =>
      yargs
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 version --json', 'with the version of Node and the platform']]),
    handler: ({ json: asJson }) => {
      const platform = `${process.platform}-${process.arch}`
      const facts = { version: VERSION, node: process.versions.node, platform, single_executable: isSingleExecutable() }
      terminal.out(asJson ? json(facts) : `iron-cage ${VERSION}`)
    },
  })
