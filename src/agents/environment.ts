/**
 * The environment of an agent: the user's shell, then the configuration, then its secrets by name, and above all of
 * them what sends its calls through the gateway. Pure.
 */
import { delimiter } from 'node:path'
import type { Config } from '../config/schema.ts'
import type { AgentId } from '../core/ids.ts'
import { gatewayVariables, knownProvider } from '../dialects/known-providers.ts'
import { WITHOUT_TELEMETRY } from './telemetry.ts'

export type AgentEnvironment = Record<string, string>

export interface EnvironmentFacts {
  /** The environment that iron-cage was started in. */
  parent: Readonly<Record<string, string>>
  /** `agent.env` of the configuration. */
  added: Readonly<Record<string, string>>
  /** By name. */
  secrets: Readonly<Record<string, string>>
  agentId: AgentId
  runToken: string
  /** The part of gateway addresses that identifies the run: its id, or its token. */
  runAddress: string
  /** Where the server listens, e.g. "http://127.0.0.1:8080". */
  serverUrl: string
  /** The folder that holds our sitecustomize.py. */
  shimFolder: string
  providerKeys: Config['agent']['provider_keys']
  /** The names of the providers, whose clients are sent to the gateway. */
  providers: readonly string[]
  /** Whether SDKs may send telemetry to their vendors. */
  telemetry: boolean
  /** The variables that hold provider keys. */
  providerKeyNames: Iterable<string>
  /** Where the agent connects through this server: by which its programs trust it. (Default: it does not.) */
  trust?: AgentEnvironment | undefined
}

export function agentEnvironment(facts: EnvironmentFacts): AgentEnvironment {
  const { parent, added, secrets, agentId, runToken, runAddress, serverUrl, shimFolder, providers } = facts
  const gateway = `${serverUrl}/gateway`
  const own = inheritedEnvironment(parent, { ...added, ...secrets })
  return {
    ...(facts.telemetry ? {} : WITHOUT_TELEMETRY),
    ...own,
    ...(facts.providerKeys === 'shield'
      ? { ...gatewayVariables(gateway, providers), ...shieldedKeys(facts) }
      : gatewayVariables(`${gateway}/${runAddress}`, providers)),
    IRON_CAGE_GATEWAY_URL: `${gateway}/${runAddress}`,
    IRON_CAGE_URL: serverUrl,
    IRON_CAGE_AGENT_ID: agentId,
    IRON_CAGE_TOKEN: runToken,
    ...(facts.trust ? throughUs(facts, facts.trust, own) : loopbackUnproxied(own)),
    PYTHONPATH: [shimFolder, own.PYTHONPATH].filter(Boolean).join(delimiter),
    PYTHONUNBUFFERED: '1',
  }
}

/** A shielded agent never holds a real key. Its clients send its identity as the key, so that addresses need not. */
const shieldedKeys = ({ providers, providerKeyNames, runToken }: EnvironmentFacts): AgentEnvironment => {
  const usual = providers.flatMap((name) => knownProvider(name)?.keyVariables ?? [])
  return Object.fromEntries([...usual, ...providerKeyNames].map((name) => [name, runToken]))
}

/** NODE_OPTIONS was set for us, and the master key opens the vault: an agent inherits neither. */
export function inheritedEnvironment(
  parent: EnvironmentFacts['parent'],
  added: EnvironmentFacts['added'],
): AgentEnvironment {
  const { NODE_OPTIONS: _ours, ...theirs } = parent
  const variables = Object.entries({ ...theirs, ...added })
  return Object.fromEntries(variables.filter(([name]) => !name.startsWith('IRON_CAGE_MASTER_KEY')))
}

/** Variables that hold several options: those of the user stay. */
const OPTIONS = ['JAVA_TOOL_OPTIONS', 'NODE_OPTIONS']

/** Programs that use a proxy use this server; the user's own proxy is for the server itself. */
function throughUs(
  { serverUrl, runAddress }: EnvironmentFacts,
  trust: AgentEnvironment,
  own: AgentEnvironment,
): AgentEnvironment {
  // Some clients send no credentials without a password.
  const proxy = serverUrl.replace('//', `//${runAddress}:cage@`)
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']
  const direct = LOOPBACK.join(',')
  const options = OPTIONS.map((name) => [name, [own[name], trust[name]].filter(Boolean).join(' ')])
  return {
    ...trust,
    ...Object.fromEntries(options.filter(([, value]) => value)),
    ...Object.fromEntries(names.map((name) => [name, proxy])),
    ...{ ALL_PROXY: '', all_proxy: '', NO_PROXY: direct, no_proxy: direct },
    NODE_USE_ENV_PROXY: '1',
  }
}

const loopbackUnproxied = (own: AgentEnvironment): AgentEnvironment => ({
  NO_PROXY: withLoopback(own.NO_PROXY ?? own.no_proxy),
  no_proxy: withLoopback(own.no_proxy ?? own.NO_PROXY),
})

const LOOPBACK = ['localhost', '127.0.0.1', '::1']

function withLoopback(noProxy: string | undefined): string {
  const names = (noProxy ?? '').split(',').map((name) => name.trim())
  return [...new Set([...names.filter(Boolean), ...LOOPBACK])].join(',')
}
