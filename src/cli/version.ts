import packageJson from '../../package.json' with { type: 'json' }
import { isSingleExecutable } from '../package-folder.ts'
import { json } from './print.ts'
import type { Command } from './terminal.ts'

export const VERSION: string = packageJson.version

export const versionCommand: Command = (yargs, terminal) =>
  yargs.command(
    'version',
    'Show the version',
    (command) =>
      command
        .option('json', { type: 'boolean', describe: 'Write JSON' })
        .example('$0 version --json', 'and what it runs on'),
    ({ json: asJson }) => {
      const platform = `${process.platform}-${process.arch}`
      const facts = { version: VERSION, node: process.versions.node, platform, single_executable: isSingleExecutable() }
      terminal.out(asJson ? json(facts) : `iron-cage ${VERSION}`)
    },
  )
