import type { AgentKind } from '../../agents/command.ts'
import type { LoadedConfig } from '../../config/config.ts'
import type { Config } from '../../config/schema.ts'
import type { SandboxView } from '../../core/events.ts'
import { showUsd, type Usd } from '../../core/money.ts'
import { DEFAULT_PII_TYPES } from '../../core/pii-types.ts'
import { showDuration, showName } from '../../core/units.ts'
import { uncagedKeys } from '../../dialects/key-variables.ts'
import { knownProvider } from '../../dialects/known-providers.ts'
import { showTags } from '../../state/figures-text.ts'
import type { Snapshot } from '../../state/snapshot.ts'
import type { SharedBudget } from '../../uplink/shared-budget.ts'
import { namesOf, usedKeyNames } from '../../vault/open-vault.ts'
import type { Vault } from '../../vault/vault.ts'
import { type TreeEntry, tree } from '../output/print.ts'
import { VERSION } from '../output/version.ts'
import { sharedEntries } from './shared-lines.ts'

export interface StartFacts {
  /** As typed; null for a server without an agent. */
  script: string | null
  /** What that names. (Default: a script.) */
  kind?: AgentKind | undefined
  agentId: string | null
  dashboardLink: string
  logPath: string
  /** Where the providers' keys are. */
  keys: KeyPlaces
  limits: SharedLimits
  shared: SharedBudget | null
  /**
   * The sandbox of the agent, its writable paths, and which of its folders are closed to it; left out for a server
   * without an agent.
   */
  sandbox?: { view: SandboxView; writes: readonly string[]; closed: readonly string[] } | undefined
}

/** The limits besides the agents' own. */
type SharedLimits = Pick<Snapshot, 'server_budget' | 'run_limit_usd'>

export interface KeyPlaces {
  vault: Pick<Vault, 'find' | 'isLocked'>
  /** The server's environment. */
  variables: Readonly<Record<string, string>>
}

/** The agent, its guards, and their limits. */
export function startBlock({ config, origins, file }: LoadedConfig, facts: StartFacts): string[] {
  return tree(`Iron Cage ${VERSION}`, [
    [TARGETS[facts.kind ?? 'script'], facts.script],
    ['Agent', facts.agentId],
    ['Budget', `${showUsd(config.budget.limit_usd)} hard limit (${budgetOrigin(origins['budget.limit_usd'])})`],
    ...limitsBeside(config.budget, facts.limits).map((line): TreeEntry => ['', line]),
    ...sharedEntries(facts.shared),
    ['Tags', showTags(config.agent.tags) || null],
    ['Keys', keys(config, facts.keys)],
    ['Guarded', guarded(config)],
    ['', originals(facts.keys.vault, config)],
    ['Fallback', fallbacks(config.services)],
    ...sandboxLines(facts.sandbox),
    ['Egress', egressLine(config, facts.sandbox?.view)],
    ['Not guarded', 'prompt injection: not monitored'],
    ...ownKeyLine(config.agent.sandbox.level, facts).map((line): TreeEntry => ['', line]),
    ...uncaged(config, facts.keys).map((line): TreeEntry => ['', line]),
    ...elsewhere(config, origins).map((line): TreeEntry => ['Address', line]),
    ...unseen(config).map((type): TreeEntry => ['', `${type}: not monitored`]),
    ['Configuration', file ?? withoutFile(config, origins)],
    ['Traces', config.otel.endpoint ? `to ${config.otel.endpoint}${from(origins['otel.endpoint'])}` : null],
    ['Log', facts.logPath],
    ['Dashboard', facts.dashboardLink],
  ])
}

/** The program, by its kind. */
export const TARGETS: Record<AgentKind, string> = { script: 'Script', module: 'Module', command: 'Command' }

const SANDBOX: Record<SandboxView['level'], string> = {
  off: 'off',
  observe: 'observe: nothing is stopped, what it opens and connects to is reported',
  standard: 'standard: files and processes restricted',
  strict: 'strict: own files, processes and network',
}

/** Describes a sandbox level. */
export function describeSandbox({ level, limited, why }: SandboxView): string {
  const network = level !== 'standard' ? '' : limited ? ', network limited to what is listed' : ', network observed'
  return `${SANDBOX[level]}${network}${why ? ` (${why})` : ''}`
}

/** The sandbox and the agent's writable paths. */
function sandboxLines(sandbox: StartFacts['sandbox']): TreeEntry[] {
  if (!sandbox) return []
  const { level } = sandbox.view
  const lines: TreeEntry[] = [['Sandbox', describeSandbox(sandbox.view)]]
  if (level === 'standard' || level === 'strict') {
    lines.push(['Writes', [...sandbox.writes, 'temporary files of its own'].join(', ')])
    const closed = sandbox.closed.join(', ')
    if (closed)
      lines.push(['', `${closed}: closed to agents but for their script; start them in a folder of their own`])
  }
  return lines
}

/** The hosts that the agent reaches, and how that is enforced. */
const NO_EGRESS = 'not set: services are priced at the address of the gateway only (--egress observe)'

function egressLine({ agent: { egress }, services }: Config, sandbox: SandboxView | undefined): string | null {
  const hasServices = Object.keys(services).length > 0
  if (!egress && sandbox?.level === 'strict') return 'services and providers; everything else refused (redirect)'
  if (!egress) return hasServices ? NO_EGRESS : null
  const count = new Set([...egress.allow, ...egress.private]).size
  const road = sandbox?.limited
    ? 'redirect'
    : 'advisory: by proxy variables, a program that ignores them is not stopped; --sandbox standard stops it'
  if (egress.mode === 'observe')
    return `observed, nothing is refused (${sandbox?.limited ? 'redirect' : 'by proxy variables'})`
  return `providers, ${count} ${count === 1 ? 'other' : 'others'} listed; everything else refused (${road})`
}

/** What happens to calls that bypass the gateway. A server without an agent does not know the sandboxes of those to come. */
function ownKeyLine(level: Config['agent']['sandbox']['level'], { agentId, sandbox: seen }: StartFacts): string[] {
  const sandbox = seen?.view
  if (sandbox?.limited) return []
  const what = 'agents that bypass the gateway with their own key'
  const isSeen = sandbox !== undefined && sandbox.level !== 'off'
  if (agentId === null && level !== 'off') return [`${what}: seen or stopped as the sandbox of each says`]
  return [`${what}: ${isSeen ? 'seen, not stopped (--sandbox strict stops it)' : 'not caught'}`]
}

/** Without a file: the important settings that were not chosen. */
function withoutFile({ safety, agent, server, db }: Config, origins: LoadedConfig['origins']): string {
  const settings = [
    ['safety.mode', safety.mode],
    ['agent.environment', agent.environment],
    ['server.port', server.port],
    ['db.path', db.path],
  ] as const
  const assumed = settings.filter(([key]) => (origins[key] ?? 'default') === 'default').map((entry) => entry.join(' '))
  const what = assumed.length > 0 ? `assumed ${assumed.join(', ')}` : 'flags and environment'
  return `no file: ${what} (iron-cage config init writes one)`
}

const budgetOrigin = (origin = 'default'): string =>
  origin === 'default' ? 'the default; choose one with --budget' : `from ${origin}`

/** A limit that was changed while a server ran differs from the configuration. */
function limitsBeside(
  { server_usd, per_run_usd }: Config['budget'],
  { server_budget, run_limit_usd }: SharedLimits,
): string[] {
  const line = (whose: string, limit: Usd, configured: Usd | undefined) =>
    `${whose} ${showUsd(limit)}${limit === configured ? '' : ` (changed; the configuration says ${showUsd(configured!)})`}`
  return [
    ...(server_budget ? [line('all agents together', server_budget.limit_usd, server_usd)] : []),
    ...(run_limit_usd === null ? [] : [line('each run', run_limit_usd, per_run_usd)]),
  ]
}

/** Which providers have a key. A provider without one is no fault: the agent may call another. */
function keys({ providers, agent }: Config, { vault, variables }: KeyPlaces): string {
  const found: string[] = []
  const missing: { name: string; variable: string }[] = []
  for (const [name, variable] of Object.entries(namesOf(providers))) {
    // A self-hosted server may need none.
    if (variable === undefined) continue
    const isInVault = vault.find(variable, agent.environment) !== undefined
    if (isInVault && !vault.isLocked) found.push(`${name} from the vault`)
    else if (variables[variable] || agent.env[variable]) found.push(`${name} from the environment`)
    else if (isInVault) found.push(`${name} in the vault, which is locked`)
    else missing.push({ name, variable })
  }
  const [first] = missing
  if (!first) return found.join(', ')
  if (found.length > 0) return [...found, ...missing.map(({ name }) => `${name}: not set (optional)`)].join(', ')
  const needed = missing.map(({ variable }) => variable).join(' or ')
  const flag = agent.environment === 'development' ? '' : ` --env ${agent.environment}`
  return `none, so calls will fail: export ${needed}, or type "iron-cage secrets set ${first.variable}${flag}"`
}

/** Keys that are there for calls that pass the gateway by. */
function uncaged({ providers }: Config, { variables }: KeyPlaces): string[] {
  const keys = uncagedKeys(variables, usedKeyNames(providers))
  if (keys.length === 0) return []
  return [
    `calls with ${keys.join(', ')}: no provider of the configuration uses ${keys.length > 1 ? 'these keys' : 'this key'} (add it under "providers")`,
  ]
}

/** Addresses that were taken from clients' own variables. */
function elsewhere({ providers }: Config, origins: LoadedConfig['origins']): string[] {
  return Object.entries(providers).flatMap(([name, { base_url }]) => {
    const origin = origins[`providers.${name}.base_url`] ?? 'default'
    return isVariable(origin) ? [`${name} at ${base_url} (from ${origin})`] : []
  })
}

const isVariable = (origin = 'default'): boolean => /^[A-Z_]+$/.test(origin)

/** Names a variable that the user may have set for other programs. */
const from = (origin: string | undefined): string => (isVariable(origin) ? ` (from ${origin})` : '')

function guarded({ safety, services, providers }: Config): string {
  const labels = Object.keys(providers).map((name) => knownProvider(name)?.label ?? name)
  const calls = [`calls to ${listed(labels)}`, ...Object.keys(services)].join(', ')
  const detected = safety.detect.map(showName).join(', ') || 'nothing'
  const places = safety.scope.map((place) => showName(place)).join(', ') || 'nowhere'
  return `${calls}; ${detected} in ${places} (${safety.mode})`
}

/** "a, b and c" */
const listed = (names: readonly string[]): string =>
  [names.slice(0, -1).join(', '), names.at(-1)].filter(Boolean).join(' and ')

function originals({ isLocked }: KeyPlaces['vault'], { calls }: Config): string | null {
  const content = calls.keep_content ? ', nor what calls say' : ''
  return isLocked ? `what is redacted is not kept${content}: the vault is locked (iron-cage keygen makes a key)` : null
}

const unseen = ({ safety }: Config): string[] =>
  DEFAULT_PII_TYPES.filter((type) => !safety.detect.includes(type)).map(showName)

function fallbacks(services: Config['services']): string | null {
  const tiers = Object.entries(services).map(([name, { fallback }]) => {
    const cached = fallback.cache && `cache (≤ ${showDuration(fallback.cache.ttl_s * 1000)})`
    const placeholder = fallback.placeholder !== undefined && 'placeholder'
    return `${name}: ${[cached, placeholder].filter(Boolean).join(', then ') || 'none'}`
  })
  return tiers.length > 0 ? tiers.join('; ') : null
}
