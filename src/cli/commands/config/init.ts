import { resolve } from 'node:path'
import { Command } from '@commander-js/extra-typings'
import { AgentFolders } from '../../../config/agent-folders.ts'
import { type CliCommand, examples } from '../../command.ts'
import { writeConfigFile } from '../../settings/config-file.ts'

export const initCommand: CliCommand = (terminal) =>
  new Command('init')
    .description('Write a commented configuration file; refuses when there is one')
    .addHelpText('after', examples(['config init && iron-cage config show', 'write it, then see what applies']))
    .action(() => {
      const name = writeConfigFile(terminal.cwd)
      new AgentFolders(terminal.env.variables.HOME).trust(resolve(terminal.cwd, name))
      terminal.out(`wrote ${name}; "iron-cage config show" shows what applies now`)
    })
