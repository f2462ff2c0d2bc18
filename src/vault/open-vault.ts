/** The vault with everything that gives out its secrets: to agents at start and at run time, and to calls. */
import type { Audit } from '../audit/chain.ts'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import { ancestorsWith } from '../core/process-table.ts'
import type { Store } from '../db/store.ts'
import { knownProvider, vendorOf } from '../dialects/known-providers.ts'
import type { StateManager } from '../state/state-manager.ts'
import { CentralSecrets } from './central-secrets.ts'
import type { SecretValue } from './live-values.ts'
import { ProviderKeys } from './provider-keys.ts'
import { Rotation } from './rotation.ts'
import { Vault } from './vault.ts'

export interface Secrets {
  vault: Vault
  /** A Control Panel's secrets for the agents of this machine. */
  central: CentralSecrets
  /** The part of the vault that agents use. */
  rotation: Rotation
  /** The keys that calls are sent with. */
  keys: ProviderKeys
  keyNames: KeyNames
}

/** Names of keys, in the vault or the server's environment, by provider and by service. */
export interface KeyNames {
  providers: Readonly<Record<string, string | undefined>>
  services: Readonly<Record<string, string | undefined>>
  /** The variables that hold provider keys. */
  ofProviders: ReadonlySet<string>
}

export interface SecretsOptions {
  store: Store
  state: StateManager
  audit: Audit
  clock: Clock
  masterKey: string | undefined
  /** Why a configured master key could not be read. */
  masterKeyProblem: string | undefined
  /** The environment to search for keys that are not in the vault. */
  environment: Readonly<Record<string, string>>
  /** Called with all current and former secret values since the start, whenever they change. */
  onValues: (values: readonly SecretValue[]) => void
  onFault: (error: unknown, what: string) => void
}

/** Must be closed with `closeVault`. Never throws for a missing, weak or wrong key: the vault is locked then. */
export async function openVault(
  config: Pick<Config, 'providers' | 'services'>,
  { environment, onFault, ...options }: SecretsOptions,
): Promise<Secrets> {
  const { state, clock } = options
  const keyNames = keyNamesOf(config)
  const { audit, onValues } = options
  let [own, given]: (readonly SecretValue[])[] = [[], []]
  const publish = () => onValues([...own!, ...given!])
  const vault = await Vault.open({
    ...options,
    onValues: (values) => {
      own = values
      publish()
    },
  })
  const central = new CentralSecrets({
    ...{ state, audit, clock },
    onValues: (values) => {
      given = values
      publish()
    },
  })
  if (!vault.isLocked) recordExposure(state)
  const names = [...keyNames.ofProviders]
  return {
    vault,
    central,
    rotation: new Rotation({ vault, central, state, clock, providerKeyNames: keyNames.ofProviders }),
    keys: new ProviderKeys({ vault, central, state, clock, names, variables: environment, onFault }),
    keyNames,
  }
}

export function closeVault({ vault, central, rotation, keys }: Secrets): void {
  rotation.close()
  keys.close()
  central.close()
  vault.close()
}

export function keyNamesOf({ providers, services }: Pick<Config, 'providers' | 'services'>): KeyNames {
  const ofProvider = namesOf(providers)
  const known = Object.entries(ofProvider)
    .flatMap(([provider, name]) => [name, keyVariableOf(provider)])
    .filter((name) => name !== undefined)
  return { providers: ofProvider, services: keysOfServices(services), ofProviders: new Set(known) }
}

const keysOfServices = (services: Config['services']): KeyNames['services'] =>
  Object.fromEntries(
    Object.entries(services).map(([name, { api_key_secret }]) => [name, api_key_secret ?? keyVariableOf(name)]),
  )

/** All variables in which clients of these providers look for a key. */
export const usedKeyNames = (providers: Config['providers']): (string | undefined)[] => [
  ...Object.values(namesOf(providers)),
  ...Object.keys(providers).flatMap((name) => knownProvider(name)?.keyVariables ?? []),
]

/** The name of each provider's key, in the vault or in the environment: that of the vendor at its address. */
export const namesOf = (providers: Config['providers']): Record<string, string | undefined> =>
  Object.fromEntries(
    Object.entries(providers).map(([name, { api_key_secret, base_url }]) => [
      name,
      api_key_secret ?? keyVariableOf(vendorOf(name, base_url)),
    ]),
  )

/** Where clients of a known provider look for its key. */
export const keyVariableOf = (name: string): string | undefined => knownProvider(name)?.keyVariables[0]

function recordExposure(state: StateManager): void {
  const pids = ancestorsWith('IRON_CAGE_MASTER_KEY')
  if (pids.length === 0) return
  state.record({
    type: 'vault.exposed',
    level: 'WARN',
    message: `Agents can read the master key in the environment of process ${pids.join(', ')}, which started this one: name a file in IRON_CAGE_MASTER_KEY_FILE instead`,
    data: { pids },
  })
}
