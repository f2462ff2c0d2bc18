import { Command } from '@commander-js/extra-typings'
import { type CliCommand, examples } from '../../command.ts'
import { writeConfigFile } from '../../config-file.ts'

export const initCommand: CliCommand = (terminal) =>
  new Command('init')
    .description('Write a commented configuration file; refuses when there is one')
    .addHelpText('after', examples(['config init && iron-cage config show', 'write it, then see what applies']))
    .action(() =>
      terminal.out(`wrote ${writeConfigFile(terminal.cwd)}; "iron-cage config show" shows what applies now`),
    )
