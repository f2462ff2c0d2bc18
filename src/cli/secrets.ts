/**
 * Secrets: asked of the server that runs, or done on its database file when none does. A value is typed, piped in or read
 * from a file; in an argument every process of this machine could read it.
 */
import type { Argv } from 'yargs'
import { systemClock } from '../clock.ts'
import type { SecretAuditRow } from '../db/secrets.ts'
import { CageError } from '../errors.ts'
import type { SecretView } from '../vault/secret.ts'
import { Vault } from '../vault/vault.ts'
import type { Client, ClientFlags } from './client.ts'
import { loadFlags, withDatabaseFlags } from './flags.ts'
import { json, table } from './print.ts'
import { rotateTelling } from './rotation-progress.ts'
import { readSecret } from './secret-input.ts'
import { withStored } from './stored.ts'
import { withAccess } from './stored-api.ts'
import type { Command, Terminal } from './terminal.ts'

interface SecretFlags extends ClientFlags {
  env?: string
}

export const secretsCommand: Command = (yargs, terminal) => {
  /** On the server or the file; `makesDatabase`: also when there is none yet. */
  const use = <T>(
    flags: SecretFlags,
    work: (client: Client, environment: string) => Promise<T>,
    makesDatabase = false,
  ) => {
    const { environment } = loadFlags(flags, terminal).config.agent
    return withAccess(flags, terminal, (client) => work(client, environment), { opensVault: true, makesDatabase })
  }
  const showChange = (secret: SecretView, asJson: boolean | undefined, what: string) => {
    if (asJson) return terminal.out(json(secret))
    terminal.err(`${secret.name} of ${secret.environment} ${what} (version ${secret.version})`)
  }
  return yargs.command(
    'secrets',
    "Values for your agents' environment, sealed; also without a running server",
    (secrets) =>
      secrets
        .command(
          'set <name>',
          'Put a value into the vault, new or in place of the one that is there',
          (command) =>
            withValue(withName(command))
              .example('$0 secrets set OPENAI_API_KEY', 'asks for the value')
              .example('pass show openai | $0 secrets set OPENAI_API_KEY --env production', 'from another program'),
          async ({ name, fromFile, json: asJson, ...flags }) => {
            const value = await readValue(fromFile, terminal)
            const [secret, what] = await use(
              flags,
              async (client, environment) => {
                const known = await find(client, name, environment)
                return known
                  ? ([await client.send<SecretView>('PUT', pathOf(known), { value }), 'has a new value'] as const)
                  : ([
                      await client.send<SecretView>('POST', PATH, { name, environment, value }),
                      'is in the vault',
                    ] as const)
              },
              true,
            )
            showChange(secret, asJson, what)
          },
        )
        .command(
          'list',
          'Show the secrets of all environments, or of one, masked',
          (command) =>
            withEnvironment(command).option('deleted', {
              type: 'boolean',
              describe: 'Also those that can be restored',
            }),
          async ({ json: asJson, deleted, ...flags }) => {
            const query = new URLSearchParams({
              ...(flags.env !== undefined && { environment: flags.env }),
              ...(deleted && { deleted: 'true' }),
            })
            const { secrets: rows, vault } = await use(flags, (client) =>
              client.send<Listed>('GET', `${PATH}?${query}`),
            )
            if (asJson) terminal.out(json(rows))
            else table(rows.map(secretRow)).forEach(terminal.out)
            if (vault.state === 'locked') terminal.err(`the vault is locked: ${vault.message}; ${vault.hint}`)
            else if (rows.length === 0) terminal.err('there are no secrets yet; add one with "iron-cage secrets set"')
          },
        )
        .command(
          'get <name>',
          'Show a secret masked, or its value alone with --reveal, which the audit tells',
          (command) =>
            withName(command)
              .option('reveal', { type: 'boolean', describe: 'Write the value to standard output' })
              .example('$0 secrets get OPENAI_API_KEY --reveal | wl-copy', 'into the clipboard'),
          async ({ name, reveal, json: asJson, ...flags }) => {
            const secret = await use(flags, async (client, environment) =>
              client.send<SecretView & { value?: string }>(
                'GET',
                `${pathOf(await get(client, name, environment))}${reveal ? '?reveal=true' : ''}`,
              ),
            )
            if (asJson) return terminal.out(json(secret))
            if (secret.value !== undefined) return terminal.out(secret.value)
            table([secretRow(secret)]).forEach(terminal.out)
          },
        )
        .command(
          'rotate <name>',
          'Give a secret a new value, and tell which running agents have it and which need a restart',
          (command) => withValue(withName(command)).example('$0 secrets rotate OPENAI_API_KEY', 'asks for the value'),
          async ({ name, fromFile, json: asJson, ...flags }) => {
            const value = await readValue(fromFile, terminal)
            const secret = await use(flags, async (client, environment) =>
              rotateTelling(client, await get(client, name, environment), value, terminal.err),
            )
            showChange(secret, asJson, 'has a new value')
          },
        )
        .command(
          'roll-back <name>',
          'Give a secret the value again that it had before the last one',
          (command) => withName(command),
          async ({ name, json: asJson, ...flags }) => {
            const secret = await use(flags, async (client, environment) =>
              client.send<SecretView>('POST', `${pathOf(await get(client, name, environment))}/roll-back`, {}),
            )
            showChange(secret, asJson, 'has its earlier value again')
          },
        )
        .command(
          'delete <name>',
          'Delete a secret; it can be restored',
          (command) => withName(command),
          async ({ name, json: asJson, ...flags }) => {
            const secret = await use(flags, async (client, environment) => {
              const known = await get(client, name, environment)
              await client.send('DELETE', pathOf(known))
              return known
            })
            showChange(secret, asJson, 'was deleted')
          },
        )
        .command(
          'restore <name>',
          'Bring back the secret of that name that was deleted last',
          (command) => withName(command),
          async ({ name, json: asJson, ...flags }) => {
            const secret = await use(flags, async (client, environment) => {
              const query = new URLSearchParams({ name, environment, deleted: 'true' })
              const { secrets: found } = await client.send<Listed>('GET', `${PATH}?${query}`)
              const [last] = found
                .filter(({ deleted_at }) => deleted_at !== null)
                .toSorted((one, other) => other.deleted_at!.localeCompare(one.deleted_at!))
              if (!last) throw unknown(name, environment)
              return client.send<SecretView>('POST', `${pathOf(last)}/restore`, {})
            })
            showChange(secret, asJson, 'was restored')
          },
        )
        .command(
          'audit [name]',
          'Show who did what with secrets, newest first',
          (command) =>
            withEnvironment(command)
              .positional('name', { type: 'string', describe: 'Only with this secret' })
              .option('limit', { type: 'number', default: 100, requiresArg: true, describe: 'How many at most' }),
          async ({ name, limit, json: asJson, ...flags }) => {
            const query = new URLSearchParams({
              limit: String(limit),
              ...(name !== undefined && { secret_name: name }),
            })
            const { entries } = await use(flags, (client) =>
              client.send<{ entries: SecretAuditRow[] }>('GET', `${PATH}/audit?${query}`),
            )
            if (asJson) return terminal.out(json(entries))
            table(entries.map(auditRow)).forEach(terminal.out)
            if (entries.length === 0) terminal.err('nothing was done with it yet')
          },
        )
        .command(
          'change-master-key',
          'Seal everything anew under another master key, at once or not at all; no server may run',
          (command) =>
            withDatabaseFlags(command)
              .option('from-file', { type: 'string', requiresArg: true, describe: 'File that holds the new key' })
              .example(
                '$0 secrets change-master-key --from-file new.key',
                'with the old key in IRON_CAGE_MASTER_KEY_FILE',
              ),
          async ({ fromFile, ...flags }) => {
            const key = await readSecret({ what: 'New master key', fromFile }, terminal)
            const { config } = loadFlags(flags, terminal)
            const count = await withStored(config, async (stored) => {
              const vault = await Vault.open({
                ...stored,
                clock: systemClock,
                loads: false,
                ...terminal.env.readMasterKey(),
              })
              try {
                return await vault.changeMasterKey(key, { role: 'admin', actor: 'command line', agentId: null })
              } finally {
                vault.close()
              }
            })
            terminal.err(`${count} secrets are sealed under the new key; start the server with it from now on`)
          },
        )
        .demandCommand(
          1,
          'secrets needs one of: set, list, get, rotate, roll-back, delete, restore, audit, change-master-key',
        ),
  )
}

const withEnvironment = (command: Argv) =>
  withDatabaseFlags(command)
    .option('env', { type: 'string', requiresArg: true, describe: 'development, staging or production' })
    .option('json', { type: 'boolean', describe: 'Write JSON' })

const withName = (command: Argv) =>
  withEnvironment(command).positional('name', {
    type: 'string',
    demandOption: true,
    describe: 'The variable in which an agent finds it',
  })

const withValue = <T>(command: Argv<T>) =>
  command.option('from-file', { type: 'string', requiresArg: true, describe: 'Read the value from this file' })

const readValue = (fromFile: string | undefined, terminal: Terminal): Promise<string> =>
  readSecret({ what: 'Value', fromFile }, terminal)

interface Listed {
  secrets: SecretView[]
  vault: Vault['state']
}

const PATH = '/api/secrets'
const pathOf = ({ id }: SecretView): string => `${PATH}/${id}`

async function find(client: Client, name: string, environment: string): Promise<SecretView | undefined> {
  const { secrets } = await client.send<Listed>('GET', `${PATH}?${new URLSearchParams({ name, environment })}`)
  return secrets[0]
}

/** Throws CageError `not_found`. */
async function get(client: Client, name: string, environment: string): Promise<SecretView> {
  const secret = await find(client, name, environment)
  if (secret) return secret
  throw unknown(name, environment)
}

const unknown = (name: string, environment: string): CageError =>
  new CageError('not_found', `there is no secret ${name} of ${environment}`, {
    hint: 'list them with "iron-cage secrets list", or name another environment with --env',
  })

const secretRow = ({
  name,
  environment,
  masked,
  version,
  rotated_at,
  created_at,
  deleted_at,
}: SecretView): string[] => [
  name,
  environment,
  masked,
  `version ${version}`,
  deleted_at !== null ? `deleted ${deleted_at}` : rotated_at !== null ? `rotated ${rotated_at}` : `since ${created_at}`,
]

const auditRow = (row: SecretAuditRow): string[] => [
  row.timestamp,
  row.secret_name,
  row.operation,
  row.requester_role,
  row.agent_id ?? '–',
  row.success ? 'ok' : `failed: ${row.error_message}`,
]
