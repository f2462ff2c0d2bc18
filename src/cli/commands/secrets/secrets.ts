import { type CliCommand, group } from '../../command.ts'
import { secretAuditCommand } from './audit.ts'
import { changeMasterKeyCommand } from './change-master-key.ts'
import { deleteCommand } from './delete.ts'
import { getSecretCommand } from './get.ts'
import { listSecretsCommand } from './list.ts'
import { restoreSecretCommand } from './restore.ts'
import { rollBackCommand } from './roll-back.ts'
import { rotateSecretCommand } from './rotate.ts'
import { setSecretCommand } from './set.ts'

export const secretsCommand: CliCommand = (terminal, line) =>
  group(
    'secrets',
    "Encrypted values for your agents' environment; also without a running server",
    [
      setSecretCommand,
      listSecretsCommand,
      getSecretCommand,
      rotateSecretCommand,
      rollBackCommand,
      deleteCommand,
      restoreSecretCommand,
      secretAuditCommand,
      changeMasterKeyCommand,
    ],
    terminal,
    line,
  )
