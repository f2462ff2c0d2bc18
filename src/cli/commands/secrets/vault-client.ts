/**
 * The shared parts of the commands of `secrets`. A value is typed, piped in or read from a file, never given as an
 * argument: every process of this machine could read it there.
 */
import type { Argv } from 'yargs'
import { CageError } from '../../../core/errors.ts'
import { isOrdinaryValue } from '../../../redaction/known/ordinary-value.ts'
import type { SecretView } from '../../../vault/secret.ts'
import type { Vault } from '../../../vault/vault.ts'
import type { ApiClient, ClientFlags } from '../../client/client.ts'
import { withClient } from '../../client/offline-client.ts'
import { json } from '../../output/print.ts'
import type { Terminal } from '../../output/terminal.ts'
import { withDatabase } from '../../settings/flags.ts'
import { readConfig } from '../../settings/read-config.ts'
import { readSecret } from '../../settings/secret-input.ts'

export interface SecretFlags extends ClientFlags {
  env?: string
}

/** For commands on secrets of one environment. */
export const withEnvironment = <Flags>(yargs: Argv<Flags>) =>
  withDatabase(yargs)
    .option('env', { type: 'string', requiresArg: true, describe: 'development, staging or production' })
    .option('json', { type: 'boolean', describe: 'Print JSON' })

export const SECRET_HELP = 'The environment variable that holds it in an agent'

/** Calls `use` with a client that can reach the vault, and the environment that is meant. */
export async function withVault<T>(
  flags: SecretFlags,
  terminal: Terminal,
  use: (client: ApiClient, environment: string) => Promise<T>,
  { createsDatabase = false } = {},
): Promise<T> {
  const { environment } = (await readConfig(flags, terminal)).config.agent
  return withClient(flags, terminal, (client) => use(client, environment), { opensVault: true, createsDatabase })
}

export const readValue = (fromFile: string | undefined, terminal: Terminal): Promise<string> =>
  readSecret({ what: 'Value', fromFile }, terminal)

/** What `GET /api/secrets` answers. */
export interface SecretsResponse {
  /** `agent`: null for all. */
  secrets: (SecretView & { origin: 'vault' | 'panel'; agent: string | null })[]
  vault: Vault['state']
}

export const SECRETS = '/api/secrets'

export const secretPath = ({ id }: SecretView): string => `${SECRETS}/${id}`

export async function findSecret(
  client: ApiClient,
  name: string,
  environment: string,
): Promise<SecretView | undefined> {
  const query = new URLSearchParams({ name, environment })
  const { secrets } = await client.send<SecretsResponse>('GET', `${SECRETS}?${query}`)
  return secrets.find(({ origin }) => origin !== 'panel')
}

/** Throws CageError `not_found`. */
export async function getSecret(client: ApiClient, name: string, environment: string): Promise<SecretView> {
  const secret = await findSecret(client, name, environment)
  if (!secret) throw unknownSecret(name, environment)
  return secret
}

export const unknownSecret = (name: string, environment: string): CageError =>
  new CageError('not_found', `there is no secret ${name} of ${environment}`, {
    hint: 'list them with "iron-cage secrets list", or name another environment with --env',
  })

/** `change`: what happened to the secret, such as "was deleted". */
export function showChange(secret: SecretView, change: string, asJson: boolean | undefined, terminal: Terminal): void {
  if (asJson) return terminal.out(json(secret))
  terminal.err(`${secret.name} of ${secret.environment} ${change} (version ${secret.version})`)
}

/** A word that stands in ordinary texts is not hidden in all of them. */
export function warnOfOrdinary(name: string, value: string, terminal: Terminal): void {
  if (!isOrdinaryValue(value)) return
  terminal.err(
    `warning: the value of ${name} is an ordinary word or very short, so it is redacted only beside the name of a secret, ` +
      'in connection strings and where the environment is printed; see docs/vault.md',
  )
}

export const secretRow = (secret: SecretView): string[] => [
  secret.name,
  secret.environment,
  secret.masked,
  `version ${secret.version}`,
  lastChange(secret),
]

function lastChange({ created_at, rotated_at, deleted_at }: SecretView): string {
  if (deleted_at !== null) return `deleted ${deleted_at}`
  return rotated_at !== null ? `rotated ${rotated_at}` : `since ${created_at}`
}
