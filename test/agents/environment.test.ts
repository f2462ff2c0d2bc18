import { describe, expect, it } from 'vitest'
import { agentEnvironment, type EnvironmentFacts } from '../../src/agents/environment.ts'
import { WITHOUT_TELEMETRY } from '../../src/agents/telemetry.ts'
import { toAgentId } from '../../src/core/ids.ts'
import { whyReserved } from '../../src/vault/reserved-names.ts'

const environment = (part: Partial<EnvironmentFacts> = {}) =>
  agentEnvironment({
    parent: {},
    added: {},
    secrets: {},
    agentId: toAgentId('lg-7a3f9c2d'),
    runToken: 'run_abc',
    runAddress: 'run-0123456789ab',
    serverUrl: 'http://127.0.0.1:8080',
    shimFolder: '/shim',
    providerKeys: 'inject',
    providers: ['openai', 'anthropic'],
    telemetry: true,
    providerKeyNames: ['OPENAI_API_KEY', 'ANTHROPIC_API_KEY', 'GROQ_API_KEY'],
    ...part,
  })

describe('agentEnvironment', () => {
  it('an agent of an empty shell gets exactly these variables', () => {
    const openai = 'http://127.0.0.1:8080/gateway/run-0123456789ab/openai/v1'
    const anthropic = 'http://127.0.0.1:8080/gateway/run-0123456789ab/anthropic'
    expect(environment()).toEqual({
      OPENAI_BASE_URL: openai,
      OPENAI_API_BASE: openai,
      ANTHROPIC_BASE_URL: anthropic,
      ANTHROPIC_API_URL: anthropic,
      ANTHROPIC_API_BASE: anthropic,
      IRON_CAGE_GATEWAY_URL: 'http://127.0.0.1:8080/gateway/run-0123456789ab',
      IRON_CAGE_URL: 'http://127.0.0.1:8080',
      IRON_CAGE_AGENT_ID: 'lg-7a3f9c2d',
      IRON_CAGE_TOKEN: 'run_abc',
      NO_PROXY: 'localhost,127.0.0.1,::1',
      no_proxy: 'localhost,127.0.0.1,::1',
      PYTHONPATH: '/shim',
      PYTHONUNBUFFERED: '1',
    })
  })

  it("an agent gets the rest of the user's shell, and agent.env wins over it", () => {
    const own = environment({ parent: { HOME: '/home/ann', COLOR: 'red' }, added: { COLOR: 'blue' } })
    expect(own).toMatchObject({ HOME: '/home/ann', COLOR: 'blue' })
  })

  it('no variable can point an agent past the gateway', () => {
    const elsewhere = { OPENAI_BASE_URL: 'https://api.openai.com/v1', IRON_CAGE_TOKEN: 'mine' }
    expect(environment({ parent: elsewhere, added: elsewhere })).toEqual(environment())
  })

  it('telemetry of SDKs to their vendors is off, unless the user has decided otherwise', () => {
    const decided = { DO_NOT_TRACK: '0', AGNO_TELEMETRY: '' }
    expect(environment({ telemetry: false, parent: decided })).toEqual({
      ...environment(),
      ...WITHOUT_TELEMETRY,
      ...decided,
    })
  })

  it('the master key and our own NODE_OPTIONS are left out', () => {
    const secret = { IRON_CAGE_MASTER_KEY: 'k', IRON_CAGE_MASTER_KEY_FILE: '/k', IRON_CAGE_MASTER_KEY_OLD: 'o' }
    expect(environment({ parent: { ...secret, NODE_OPTIONS: '--inspect' }, added: secret })).toEqual(environment())
  })

  it("the user's own NODE_OPTIONS for the agent do", () => {
    expect(environment({ added: { NODE_OPTIONS: '--stack-size=2000' } }).NODE_OPTIONS).toBe('--stack-size=2000')
  })

  it('the folder of the shim comes first in PYTHONPATH', () => {
    expect(environment({ parent: { PYTHONPATH: '/a:/b' } }).PYTHONPATH).toBe('/shim:/a:/b')
  })

  it.each([
    [{ NO_PROXY: 'intern.acme' }, 'intern.acme,localhost,127.0.0.1,::1', 'intern.acme,localhost,127.0.0.1,::1'],
    [{ no_proxy: 'a, b ,' }, 'a,b,localhost,127.0.0.1,::1', 'a,b,localhost,127.0.0.1,::1'],
    [{ NO_PROXY: 'A', no_proxy: 'b' }, 'A,localhost,127.0.0.1,::1', 'b,localhost,127.0.0.1,::1'],
    [{ NO_PROXY: 'localhost' }, 'localhost,127.0.0.1,::1', 'localhost,127.0.0.1,::1'],
  ])('loopback is added to the proxy exceptions of %o', (parent, upper, lower) => {
    expect(environment({ parent })).toMatchObject({ NO_PROXY: upper, no_proxy: lower })
  })

  it.each(['JAVA_TOOL_OPTIONS', 'NODE_OPTIONS'])("the user's own %s come before those of the server", (name) => {
    const of = (trust: Record<string, string>, added: Record<string, string>) => environment({ trust, added })[name]
    expect(of({ [name]: '-Da=1' }, {})).toBe('-Da=1')
    expect(of({ [name]: '-Da=1' }, { [name]: '-b' })).toBe('-b -Da=1')
    expect(of({}, { [name]: '-b' })).toBe('-b')
    expect(of({}, {})).toBe(undefined)
  })

  it('a secret wins over the shell and agent.env, and nothing of ours gives way to one', () => {
    const given = { DATABASE_URL: 'shell', OPENAI_BASE_URL: 'elsewhere' }
    const own = environment({ parent: given, added: given, secrets: { ...given, DATABASE_URL: 'vault' } })
    expect(own).toEqual({ ...environment(), DATABASE_URL: 'vault' })
    expect(environment({ secrets: { IRON_CAGE_MASTER_KEY: 'k' } })).toEqual(environment())
    expect(Object.keys(environment()).filter((name) => !whyReserved(name))).toEqual([])
  })

  it('inject leaves the keys of providers as they are', () => {
    expect(environment({ parent: { OPENAI_API_KEY: 'sk-real' } }).OPENAI_API_KEY).toBe('sk-real')
    expect(environment()).not.toHaveProperty('OPENAI_API_KEY')
  })

  it('shield replaces the keys of providers with the run token', () => {
    const parent = { OPENAI_API_KEY: 'sk-real', GROQ_API_KEY: 'gsk-real' }
    const own = environment({ parent, secrets: { ANTHROPIC_API_KEY: 'ant-real' }, providerKeys: 'shield' })
    expect(own).toMatchObject({ OPENAI_API_KEY: 'run_abc', ANTHROPIC_API_KEY: 'run_abc', GROQ_API_KEY: 'run_abc' })
    expect(JSON.stringify(own)).not.toContain('real')
    // The key identifies the caller, so the address need not, even where only the address could hold a token.
    const token = environment({ providerKeys: 'shield', runAddress: 'run_abc' })
    expect(token).toMatchObject({ OPENAI_BASE_URL: 'http://127.0.0.1:8080/gateway/openai/v1' })
    expect(token).toMatchObject({ ANTHROPIC_BASE_URL: 'http://127.0.0.1:8080/gateway/anthropic' })
  })
})
