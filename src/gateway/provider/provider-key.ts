/**
 * Chooses the key that a call is sent with. Chosen when the call is sent, so that a call that waited for money uses the
 * current key; a call in progress keeps the key it has.
 */

import { CageError } from '../../core/errors.ts'
import { isBuiltIn, knownProvider } from '../../dialects/known-providers.ts'
import type { StateManager } from '../../state/state-manager.ts'
import { keyVariableOf, type Secrets } from '../../vault/open-vault.ts'
import type { LlmCall } from '../call.ts'
import type { Provider } from './provider.ts'
import type { Answer } from './upstream.ts'

/** The caller, its provider and the key it sent. */
export type KeyRequest = Pick<LlmCall, 'caller' | 'provider' | 'sentKey'>

interface ChosenKey {
  /** Empty for a server that may not need one. */
  value: string
  /** Returns the headers that carry it. */
  headers: (key: string) => Record<string, string>
}

export class Keyring {
  readonly #state: StateManager
  readonly #keys: Secrets['keys']
  /** The name of each provider's key in the vault or the server's environment. */
  readonly #names: Secrets['keyNames']['providers']
  readonly #named: readonly (readonly [provider: string, key: string | undefined])[]

  constructor(state: StateManager, { keys, keyNames }: Pick<Secrets, 'keys' | 'keyNames'>) {
    this.#state = state
    this.#keys = keys
    this.#names = keyNames.providers
    this.#named = Object.entries(this.#names).flatMap(([provider, key]) => [
      [provider, key] as const,
      [provider, keyVariableOf(provider)] as const,
    ])
  }

  /**
   * Sends with the right key; once more with another when the provider refuses this one and another may work.
   * Throws CageError `provider_key_missing` or `vault_locked`, and what `send` throws.
   */
  async send(
    request: KeyRequest,
    send: (headers: Record<string, string>, key: string) => Promise<Answer>,
  ): Promise<Answer> {
    const key = this.choose(request)
    const answer = await send(carry(key), key.value)
    if (answer.status < 300) this.#keys.accepted(key.value)
    const other = answer.status === 401 ? this.#keys.alternateKeyFor(key.value) : undefined
    if (other === undefined) return answer
    answer.body.cancel()
    const second = await send(carry({ ...key, value: other }), other)
    if (second.status < 300) this.#keys.accepted(other, key.value)
    return second
  }

  /**
   * Returns the client's key, else the server's own for this provider. A key of another provider is never sent: a
   * client that was redirected to this one still carries it. Throws as `send`.
   */
  choose({ caller, provider, sentKey }: KeyRequest): ChosenKey {
    const { name, dialect, settings } = provider
    const environment = this.#environmentOf(caller)
    const keyOf = (variable: string | undefined) => variable && this.#keys.find(variable, environment)
    const { value: sent } = sentKey
    const variable = this.#names[name]
    // Whoever points the clients of one vendor to another one may leave the key where they look for it.
    const instead = settings.api_key_secret === undefined ? keyOf(keyVariableOf(name)) : undefined
    const value = keyOf(variable) ?? instead
    const isOthers = sent && this.#named.some(([other, key]) => other !== name && keyOf(key) === sent)
    const isReplaced = sent && sent === instead && sent !== value
    const isOwn = sent && !isOthers && !isReplaced && settings.api_key_secret === undefined && !dialect.signs
    // The client's own key is sent in the headers that the client used.
    if (isOwn) return { value: this.#keys.currentKeyFor(sent), headers: sentKey.headers }
    if (value === undefined && variable && this.#keys.isSealed(variable, environment)) {
      throw new CageError('vault_locked', `the key of ${name} is in the vault, which is locked`, {
        facts: { provider: name },
        hint: this.#state.read().vault.hint ?? undefined,
      })
    }
    if (value || !needsKey(provider)) return { value: value ?? '', headers: dialect.authenticate }
    throw new CageError('provider_key_missing', `there is no key for ${name}`, { facts: { provider: name } })
  }

  /** Returns a secret that a request is signed with besides the key. */
  secretOf(caller: KeyRequest['caller'], name: string): string | undefined {
    return this.#keys.find(name, this.#environmentOf(caller))
  }

  #environmentOf({ agentId }: KeyRequest['caller']): string {
    return this.#state.read().agents[agentId]?.environment ?? ''
  }
}

/** A vendor has no use for a call without a key; any other server may. */
function needsKey({ name, settings, dialect }: Provider): boolean {
  if (isBuiltIn(name) || dialect.signs) return true
  const known = settings.base_url === undefined ? knownProvider(name) : undefined
  return known !== undefined && !known.isLocal && known.keyVariables.length > 0
}

const carry = ({ value, headers }: ChosenKey): Record<string, string> => (value === '' ? {} : headers(value))
