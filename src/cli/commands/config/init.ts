import { resolve } from 'node:path'
import { AgentFolders } from '../../../config/agent-folders.ts'
import { type CliCommand, command } from '../../command.ts'
import { writeConfigFile } from '../../settings/config-file.ts'

export const initCommand: CliCommand = (terminal) =>
  command({
    command: 'init',
    describe: 'Write a commented configuration file; refuses when there is one',
    builder: (yargs) => yargs.example([['$0 config init && iron-cage config show', 'write it, then see what applies']]),
    handler: () => {
      const name = writeConfigFile(terminal.cwd)
      new AgentFolders(terminal.env.variables.HOME).trust(resolve(terminal.cwd, name))
      terminal.out(`wrote ${name}; "iron-cage config show" shows what applies now`)
    },
  })
