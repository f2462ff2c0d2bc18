import packageJson from '../../package.json' with { type: 'json' }
import { json } from './print.ts'
import type { Command } from './terminal.ts'

export const VERSION: string = packageJson.version

export const versionCommand: Command = (yargs, terminal) =>
  yargs.command(
    'version',
    'Show the version',
    (command) => command.option('json', { type: 'boolean', describe: 'Write JSON' }),
    ({ json: asJson }) =>
      terminal.out(asJson ? json({ version: VERSION, node: process.versions.node }) : `iron-cage ${VERSION}`),
  )
