/** Which key a call is sent with where the address of one vendor's clients is another vendor's. */
import { expect, test } from 'vitest'
import { openai } from '../../../src/dialects/openai/dialect.ts'
import { type KeyRequest, Keyring } from '../../../src/gateway/provider/provider-key.ts'
import type { StateManager } from '../../../src/state/state-manager.ts'
import { keyNamesOf, type Secrets } from '../../../src/vault/open-vault.ts'

const OPENROUTER = 'https://openrouter.ai/api/v1'

/** The key for a client of `name` that sends `sent`. */
function chosen(name: string, sent: string | undefined, variables: Record<string, string>): string {
  const providers = { openai: { base_url: OPENROUTER }, anthropic: {}, groq: {} }
  const keys = {
    find: (variable: string) => variables[variable],
    currentKeyFor: (key: string) => key,
    isSealed: () => false,
  } as unknown as Secrets['keys']
  const keyring = new Keyring({ read: () => ({ agents: {}, vault: {} }) } as unknown as StateManager, {
    keys,
    keyNames: keyNamesOf({ providers, services: {} } as unknown as Parameters<typeof keyNamesOf>[0]),
  })
  const request = {
    caller: { agentId: 's-1' },
    provider: { name, dialect: openai, settings: providers[name as keyof typeof providers] },
    sentKey: { value: sent, headers: openai.authenticate },
  } as unknown as KeyRequest
  return keyring.choose(request).value
}

test.each([
  {
    what: 'the key of the vendor at the address',
    sent: undefined,
    variables: { OPENROUTER_API_KEY: 'or-1', OPENAI_API_KEY: 'sk-1' },
    key: 'or-1',
  },
  {
    what: 'that key, where the client sends OpenAI’s',
    sent: 'sk-1',
    variables: { OPENROUTER_API_KEY: 'or-1', OPENAI_API_KEY: 'sk-1' },
    key: 'or-1',
  },
  {
    what: 'the key in OpenAI’s variable, where there is no other',
    sent: undefined,
    variables: { OPENAI_API_KEY: 'or-2' },
    key: 'or-2',
  },
  { what: 'the client’s own', sent: 'or-3', variables: { OPENAI_API_KEY: 'or-2' }, key: 'or-3' },
])('OPENAI_BASE_URL of another vendor: $what', ({ sent, variables, key }) => {
  expect(chosen('openai', sent, variables as Record<string, string>)).toBe(key)
})

test.each(['sk-1', 'or-1'])('neither key of that provider goes to a third one: %s', (sent) => {
  const variables = { OPENROUTER_API_KEY: 'or-1', OPENAI_API_KEY: 'sk-1', GROQ_API_KEY: 'gsk-1' }
  expect(chosen('groq', sent, variables)).toBe('gsk-1')
})
