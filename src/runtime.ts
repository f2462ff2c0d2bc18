/**
 * The composition root: `openParts` opens every part in order and closes them in reverse. Parts get values and each
 * other here, never by importing an instance; every opener closes its resources.
 */

import { claimDatabase, takeDatabase } from './access/claim.ts'
import { requireLocalOrInvited } from './access/localhost.ts'
import { openAccess } from './access/open-access.ts'
import type { RunTokens } from './access/run-tokens.ts'
import { Users } from './access/users.ts'
import { serverFilesOf } from './agents/server-files.ts'
import { type AgentSpec, Supervisor } from './agents/supervisor.ts'
import { Alerts } from './alerts/alerts.ts'
import type { Deps } from './api/deps.ts'
import { startServer } from './api/server.ts'
import { Audit, type AuditOptions } from './audit/chain.ts'
import type { Circuits } from './breaker/circuits.ts'
import type { ServiceCache } from './breaker/service-cache.ts'
import type { Ledger } from './budget/ledger.ts'
import { openMoney } from './budget/open-money.ts'
import { openPriceList } from './budget/pinned-list.ts'
import { requirePlausiblePrices } from './budget/price-jumps.ts'
import type { PriceList } from './budget/price-list.ts'
import type { Trust } from './budget/trust.ts'
import { AgentFolders } from './config/agent-folders.ts'
import { mergePolicies } from './config/policy.ts'
import { RunningConfig } from './config/running-config.ts'
import type { Config } from './config/schema.ts'
import { watchFile } from './config/watch.ts'
import { type Clock, systemClock } from './core/clock.ts'
import { CageError } from './core/errors.ts'
import { packageFolder } from './core/package-folder.ts'
import { newToken } from './core/tokens.ts'
import { isStorageFault } from './db/storage-fault.ts'
import { openStore, type Store } from './db/store.ts'
import { Egress, type EgressOptions, requireOwnedWildcards } from './egress/open-egress.ts'
import { type Gateway, openGateway } from './gateway/open-gateway.ts'
import { readNetwork } from './gateway/provider/network.ts'
import { loadAssets } from './http/assets.ts'
import { MAX_HEADER_BYTES } from './http/listen.ts'
import { type Log, openLog } from './log/log.ts'
import { Exporter, type ExporterOptions } from './otel/exporter.ts'
import { Incidents } from './redaction/incidents.ts'
import { assertNamesNoPii } from './redaction/redactor.ts'
import { type Load, type Reload, reloadOf } from './redaction/reload.ts'
import { Safety } from './redaction/safety.ts'
import { StateManager } from './state/state-manager.ts'
import { openControl, openLeases, openRequests, openTelemetry } from './uplink/open-uplink.ts'
import { awaitSharedBudget, type SharedBudget } from './uplink/shared-budget.ts'
import type { SecretValue } from './vault/live-values.ts'
import { closeVault, openVault, type Secrets } from './vault/open-vault.ts'
import type { Vault } from './vault/vault.ts'

export interface RuntimeOptions {
  config: Config
  /** The configuration file; null without one. */
  configFile: string | null
  /** Reads the configuration again, as at the start. (Default: it is never reloaded.) */
  reload?: Load | undefined
  /** The source of each value, for error messages. (Default: the file.) */
  origins?: Readonly<Record<string, string>>
  /** The environment that agents inherit, and that provider keys are read from if the vault does not have them. */
  environment: Readonly<Record<string, string>>
  /** Opens the vault. (Default: none, and the vault stays locked.) */
  masterKey?: string | undefined
  /** Why a configured master key could not be read. */
  masterKeyProblem?: string | undefined
  /** The file it was read from. */
  masterKeyFile?: string | undefined
  version: string
  clock?: Clock
  /** The agent that is started next. (Default: unknown.) */
  nextAgent?: AgentSpec | undefined
}

export interface RuntimeParts {
  readonly config: Config
  /** The server's URL, e.g. "http://localhost:8080". */
  readonly url: string
  /** The dashboard's URL with a new one-time code. */
  dashboardLink(): string
  readonly state: StateManager
  readonly supervisor: Supervisor
  readonly ledger: Ledger
  /** Which models respect their limits. */
  readonly trust: Trust
  readonly vault: Vault
  readonly circuits: Circuits
  readonly cache: ServiceCache
  readonly checkpoints: Store['checkpoints']
  /** The credentials of agents. */
  readonly runTokens: RunTokens
  readonly log: Log
  /**
   * Reloads the configuration: its safety settings apply immediately, the rest after a restart. An invalid
   * configuration is recorded as an event, and nothing changes.
   */
  reload(): void
  /**
   * The budgets that are shared through a Control Panel, after its first answer, which is waited for up to a second. Null
   * without a panel.
   */
  sharedBudget(): Promise<SharedBudget | null>
  /** The number of connected dashboards. */
  viewers(): number
  /** Stops agents, then the server, then everything else. Safe to call twice. */
  close(reason: string): Promise<void>
}

/** Secrets of the server without a recognizable form. */
function knownSecretsOf({ alerts, otel }: Config, masterKey: string | undefined): string[] {
  const mailPassword = alerts.email && decodeURIComponent(new URL(alerts.email.smtp_url).password)
  const values = [
    masterKey,
    mailPassword,
    ...alerts.webhooks.map(({ secret }) => secret),
    ...Object.values(otel.headers),
  ]
  return values.filter((value) => value !== undefined)
}

/** Opened parts with their close functions; closed in reverse. */
class Opened {
  /** Why the server stops. */
  reason = 'could not start'
  readonly #closers: (() => Promise<void> | void)[] = []

  onClose(close: () => Promise<void> | void): void {
    this.#closers.push(close)
  }

  /** Safe to call twice. */
  async close(): Promise<void> {
    while (this.#closers.length > 0) await this.#closers.pop()!()
  }
}

/**
 * Throws CageError `already_running`, `port_taken`, `database_unusable` or `invalid_config`, and closes its resources.
 */
export async function openParts(options: RuntimeOptions): Promise<RuntimeParts> {
  const { config, clock = systemClock } = options
  const placeOf = (key: string) => options.origins?.[key] ?? options.configFile ?? 'the configuration'
  const list = openPriceList(config.price_list)
  await requireOwnedWildcards(config.agent.egress ?? {})
  await requirePlausiblePrices(config, placeOf, { list, atMs: clock.now() })
  const opened = new Opened()
  try {
    return await openAll({ ...options, clock, list }, opened)
  } catch (error) {
    await opened.close()
    throw isStorageFault(error) ? unusable(config.db.path, error) : error
  }
}

/** The table of contents: each part is opened with those before it. */
async function openAll(
  options: RuntimeOptions & { clock: Clock; list: PriceList },
  opened: Opened,
): Promise<RuntimeParts> {
  const { config, clock, list, version } = options
  const safety = openSafety(options)
  const log = openLogFile(config, clock, safety)
  opened.onClose(() => log.close())
  const onFault = (error: unknown, what: string) => log.logger.error({ error }, what)

  const operatorToken = newToken('ic')
  const taken = await takeDatabase(config.db.path, operatorToken)
  opened.onClose(() => taken.release())
  const store = await openOwnStore(config, opened)
  const users = new Users({ store, clock })
  requireLocalOrInvited(config.server, users.count)

  const retentionDays = config.log.retention_days
  const state = new StateManager({ store, clock, retentionDays, onFault, clean: safety.scrubEvent })
  state.subscribe((event) => log.event(event))
  const audit = openAudit({ store, state, clock, onFault }, safety)
  opened.onClose(() => audit.close())
  // Before the audit, which must include events that still wait to be written.
  opened.onClose(() => state.close())

  const { masterKey, masterKeyProblem, environment } = options
  const onValues = (values: readonly SecretValue[]) => safety.know(values)
  const keyed = { masterKey, masterKeyProblem, environment, onValues, onFault }
  const secrets = await openVault(config, { store, state, audit, clock, ...keyed })
  opened.onClose(() => closeVault(secrets))
  const access = openAccess({ store, clock, users, operatorToken, signingKey: secrets.vault.keyFor('sessions') })
  const leases = openLeases({ store, state, clock })
  opened.onClose(() => leases?.close())
  const telemetry = openTelemetry({ store, state, clock, leases })
  opened.onClose(() => telemetry?.close())
  const money = openMoney(config, { store, state, clock, leases, list, panelRequests: openRequests({ store, clock }) })
  opened.onClose(() => money.ledger.close())
  money.ledger.begin()
  openExporter(options, { store, state, clock, log: log.logger }, opened)
  const incidents = openIncidents(store, state, safety, secrets)
  const alerts = new Alerts({ store, state, clock, config: config.alerts, onFault })
  opened.onClose(() => alerts.close())
  const running = new RunningConfig({ config, origins: options.origins ?? {}, file: options.configFile })
  const deps = { config, running, clock, store, state, audit, safety, incidents, money, secrets, access, alerts }
  const gateway = openGateway(config, { ...deps, onFault })
  opened.onClose(() => gateway.close())
  const egress = openEgress(options, { ...deps, gateway, onFault }, () => server.port, opened)
  const agentFolders = openAgentFolders(environment, opened)
  const supervisor = openSupervisor(options, { ...deps, log, gateway, egress, agentFolders }, () => server.port)
  if (options.nextAgent !== undefined) supervisor.prepare(options.nextAgent)
  // Before any new agent can start.
  await supervisor.endLeftovers()
  const assets = loadAssets(`${packageFolder()}dist/web`)
  const server = await startServer({ ...deps, leases, gateway, egress, supervisor, assets, version, onFault })
  opened.onClose(() => server.close())
  await access.peers.tryToLook(server.port)
  taken.publish(server.localUrl)
  recordStarted(state, options, server.url)
  reportAudit(audit, log, state)
  const reload = watchConfiguration(options, deps, opened)
  opened.onClose(() => recordStopped(state, opened.reason))
  opened.onClose(() => supervisor.close())
  const control = openControl({ ...deps, leases, agents: supervisor, central: secrets.central, reload })
  opened.onClose(() => control?.close())
  return {
    config,
    url: server.url,
    dashboardLink: () => `${server.url}/#code=${access.sessions.newCode()}`,
    state,
    supervisor,
    ledger: money.ledger,
    trust: money.trust,
    vault: secrets.vault,
    circuits: gateway.circuits,
    cache: gateway.cache,
    checkpoints: store.checkpoints,
    runTokens: access.runTokens,
    log,
    reload: () => options.reload && reload(true),
    sharedBudget: () => awaitSharedBudget(store, leases),
    viewers: server.viewers,
    close: (why) => {
      opened.reason = why
      return opened.close()
    },
  }
}

function openAgentFolders({ HOME }: RuntimeOptions['environment'], opened: Opened): AgentFolders {
  const agentFolders = new AgentFolders(HOME)
  opened.onClose(() => agentFolders.close())
  return agentFolders
}

function openEgress(
  { config, environment }: RuntimeOptions,
  {
    state,
    clock,
    access,
    gateway,
    onFault,
  }: Pick<Deps, 'state' | 'clock' | 'access' | 'gateway'> & Pick<EgressOptions, 'onFault'>,
  ownPort: () => number,
  opened: Opened,
): Egress {
  const egress = new Egress({
    ...{ config, environment, state, clock, onFault, runTokens: access.runTokens },
    providerUrls: gateway.upstream.urls,
    network: readNetwork(config.network),
    ownPort,
    maxHeaderSize: MAX_HEADER_BYTES,
  })
  opened.onClose(() => egress.close())
  return egress
}

async function openOwnStore({ db }: Config, opened: Opened): Promise<Store> {
  const store = openStore(db)
  opened.onClose(() => store.close())
  opened.onClose(await claimDatabase(store))
  return store
}

/** Where a collector is configured. Throws CageError `invalid_config` when the file of certificates cannot be read. */
function openExporter(
  { config: { otel, network }, version }: RuntimeOptions,
  parts: Pick<ExporterOptions, 'state' | 'clock' | 'log'> & { store: Store },
  opened: Opened,
): void {
  const { endpoint } = otel
  if (endpoint === undefined) return
  const { meta } = parts.store
  const exporter = new Exporter({
    ...parts,
    meta,
    version,
    settings: { ...otel, endpoint },
    network: readNetwork(network),
  })
  opened.onClose(() => exporter.close())
}

/** Throws CageError `bad_request` for an agent's name or tag that is personal data. */
function openSafety({ config, masterKey }: RuntimeOptions): Safety {
  const safety = new Safety(config.safety, knownSecretsOf(config, masterKey))
  assertNamesNoPii(config.agent, safety.logs)
  return safety
}

const openLogFile = ({ log: { dir, level, retention_days } }: Config, clock: Clock, { scrub }: Safety): Log =>
  openLog({ dir, level, retentionDays: retention_days, redact: scrub, clock })

function openAudit(options: Omit<AuditOptions, 'clean' | 'onBroken'>, { scrub }: Safety): Audit {
  return new Audit({ ...options, clean: scrub, onBroken: (problem) => recordBroken(options.state, problem, null) })
}

const openIncidents = (store: Store, state: StateManager, safety: Safety, { vault }: Secrets): Incidents =>
  new Incidents(store, state, (id, value) => (safety.isOwnSecret(value) ? undefined : vault.sealOriginal(id, value)))

type SupervisorDeps = Pick<Deps, 'clock' | 'store' | 'state' | 'safety' | 'incidents' | 'money' | 'access'> & {
  secrets: Secrets
  log: Log
  gateway: Gateway
  egress: Egress
  agentFolders: AgentFolders
}

function openSupervisor(options: RuntimeOptions, deps: SupervisorDeps, port: () => number): Supervisor {
  const { clock, store, state, safety, incidents, money, access, secrets, log, gateway, egress, agentFolders } = deps
  return new Supervisor({
    config: options.config,
    state,
    ledger: money.ledger,
    store,
    clock,
    safety,
    runTokens: access.runTokens,
    secrets: secrets.rotation,
    providerKeyNames: secrets.keyNames.ofProviders,
    parentEnvironment: options.environment,
    providerUrls: gateway.upstream.urls,
    agentFolders,
    serverFiles: serverFilesOf(options),
    trustVariables: async () => ({ ...(await egress.trustVariables()) }),
    shimFolder: `${packageFolder()}python/shim`,
    serverUrl: () => `http://127.0.0.1:${port()}`,
    output: {
      redact: (text) => safety.redactEvent(text),
      redactBeginning: (text) => safety.redactBeginning(text),
      found: (findings, agentId) => incidents.recordAll(findings, { agentId, callId: null, place: 'output' }),
      log: (text, facts) => log.logger.info(facts, text),
    },
  })
}

/** Returns a function that reloads the configuration; also called when its file changes, if it can be read again. */
function watchConfiguration(
  { config, configFile: file, origins = {}, reload: load, clock }: RuntimeOptions & { clock: Clock },
  { running, state, safety }: Pick<Deps, 'running' | 'state' | 'safety'>,
  opened: Opened,
): Reload {
  const message = file
    ? `Configuration read from ${file}`
    : 'No configuration file; defaults, flags and environment apply'
  state.record({ type: 'config.loaded', level: 'DEBUG', message, data: { file } })
  const loaded = { config, origins, file }
  const loadAgain: Load = load ?? ((policy) => (policy ? mergePolicies(loaded, policy) : loaded))
  const reload = reloadOf({ running, load: loadAgain, safety, state })
  if (file !== null && load) opened.onClose(watchFile(file, clock, () => reload(false)))
  return reload
}

/** How far it was at the start. */
function reportAudit({ head, atStart }: Audit, { logger }: Log, state: StateManager): void {
  logger.info(`The audit ends with row ${head.seq}, hash ${head.hash.toString('hex')}`)
  if (!atStart.ok) recordBroken(state, atStart.problem, atStart.row)
}

const recordBroken = (state: StateManager, problem: string, row: number | null): void =>
  state.record({
    type: 'audit.broken',
    level: 'CRIT',
    message: `The audit was tampered with: ${problem}`,
    data: { problem, row },
  })

const recordStarted = (state: StateManager, { version }: RuntimeOptions, url: string): void =>
  state.record({
    type: 'server.started',
    level: 'INFO',
    message: `Iron Cage ${version} listens on ${url}`,
    data: { version, url, pid: process.pid },
  })

const recordStopped = (state: StateManager, reason: string): void =>
  state.record({ type: 'server.stopped', level: 'INFO', message: `Server stopped: ${reason}`, data: { reason } })

const unusable = (path: string, cause: unknown): CageError =>
  new CageError('database_unusable', `cannot use ${path} as a database: ${(cause as Error).message}`, {
    facts: { path },
    cause,
  })
