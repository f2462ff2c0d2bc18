import { withOfflineStore, withOfflineVault } from '../../client/offline-store.ts'
import { type CliCommand, command } from '../../command.ts'
import { withDatabase } from '../../settings/flags.ts'
import { readConfig } from '../../settings/read-config.ts'
import { readSecret } from '../../settings/secret-input.ts'

export const changeMasterKeyCommand: CliCommand = (terminal) =>
  command({
    command: 'change-master-key',
    describe: 'Encrypt every secret under another master key, all or none (the server must be stopped)',
    builder: (yargs) =>
      withDatabase(yargs)
        .option('from-file', { type: 'string', requiresArg: true, describe: 'File that holds the new key' })
        .example([
          ['# while IRON_CAGE_MASTER_KEY_FILE names the old key', ''],
          ['$0 secrets change-master-key --from-file new.key', ''],
        ]),
    handler: async ({ fromFile, ...flags }) => {
      const key = await readSecret({ what: 'New master key', fromFile }, terminal)
      const { config } = await readConfig(flags, terminal)
      const count = await withOfflineStore(config, (offline) =>
        withOfflineVault(offline, terminal, (vault) =>
          vault.changeMasterKey(key, { role: 'admin', actor: 'operator', agentId: null }),
        ),
      )
      terminal.err(`${count} secrets are sealed under the new key; start the server with it from now on`)
    },
  })
