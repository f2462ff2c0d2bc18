import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { AgentFolders } from '../../../config/agent-folders.ts'
import { CONFIG_FILES } from '../../../config/config.ts'
import { CageError } from '../../../core/errors.ts'
import { type CliCommand, command } from '../../command.ts'

export const trustConfigCommand: CliCommand = (terminal) =>
  command({
    command: 'trust [file]',
    describe: 'Accept a configuration file that was created or changed while an agent could write to its folder',
    builder: (yargs) =>
      yargs
        .positional('file', { type: 'string', describe: 'The file (default: the one in this folder)' })
        .example([['$0 config trust iron-cage.yaml', 'after you have read it']]),
    handler: ({ file }) => {
      const name = file ?? CONFIG_FILES.find((each) => existsSync(resolve(terminal.cwd, each))) ?? CONFIG_FILES[0]
      const path = resolve(terminal.cwd, name)
      if (!existsSync(path)) {
        throw noFile('not_found', `${name} does not exist`)
      }
      // Reading a device may never end.
      if (!statSync(path).isFile()) throw noFile('usage', `${name} is no file`)
      new AgentFolders(terminal.env.variables.HOME).trust(path)
      terminal.out(`${name} is trusted as long as it does not change`)
    },
  })

const noFile = (code: 'not_found' | 'usage', message: string): CageError =>
  new CageError(code, message, { hint: 'name the configuration file to accept' })
