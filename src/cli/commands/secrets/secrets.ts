import { type CliCommand, group } from '../../command.ts'
import { auditCommand } from './audit.ts'
import { changeMasterKeyCommand } from './change-master-key.ts'
import { deleteCommand } from './delete.ts'
import { getCommand } from './get.ts'
import { listCommand } from './list.ts'
import { restoreCommand } from './restore.ts'
import { rollBackCommand } from './roll-back.ts'
import { rotateCommand } from './rotate.ts'
import { setCommand } from './set.ts'

export const secretsCommand: CliCommand = (terminal) =>
  group(
    'secrets',
    "Encrypted values for your agents' environment; also without a running server",
    [
      setCommand,
      listCommand,
      getCommand,
      rotateCommand,
      rollBackCommand,
      deleteCommand,
      restoreCommand,
      auditCommand,
      changeMasterKeyCommand,
    ],
    terminal,
  )
