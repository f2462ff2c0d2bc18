/**
 * The map of the product: `openRuntime` opens every part in order and closes them in reverse. Parts get values and each
 * other here, never by import of an instance; whoever opens, closes.
 */
import { resolve } from 'node:path'
import { ApiTokens } from './access/api-tokens.ts'
import { requireLocalOrInvited } from './access/localhost.ts'
import { Peers } from './access/peers.ts'
import { RunTokens } from './access/run-tokens.ts'
import { claimDatabase, takeDatabase } from './access/server-file.ts'
import { Sessions } from './access/sessions.ts'
import { Users } from './access/users.ts'
import { Supervisor } from './agents/supervisor.ts'
import { Alerts } from './alerts/alerts.ts'
import { loadAssets } from './api/assets.ts'
import { startServer } from './api/server.ts'
import { Audit } from './audit/chain.ts'
import { Circuits } from './breaker/circuits.ts'
import { RateLimits } from './breaker/rate-limits.ts'
import { ServiceCache } from './breaker/service-cache.ts'
import type { Ledger } from './budget/ledger.ts'
import { openMoney } from './budget/open-money.ts'
import { requirePlausiblePrices } from './budget/price-jumps.ts'
import type { Trust } from './budget/trust.ts'
import { type Clock, systemClock } from './clock.ts'
import { AgentFolders } from './config/agent-folders.ts'
import type { Config } from './config/schema.ts'
import { watchFile } from './config/watch.ts'
import { databaseFiles } from './db/files.ts'
import { isStorageFault } from './db/storage-fault.ts'
import { openStore, type Store } from './db/store.ts'
import { ownDialect } from './dialects/dialects.ts'
import { CageError } from './errors.ts'
import { UnchargedCalls } from './gateway/uncharged.ts'
import { Upstream } from './gateway/upstream.ts'
import { openAgent } from './http-pools.ts'
import { type Log, openLog } from './log/log.ts'
import { packageFolder } from './package-folder.ts'
import { ancestorsWith } from './process-table.ts'
import { Incidents } from './redaction/incidents.ts'
import { forLogs, policyOf, SECRETS_ONLY } from './redaction/policy.ts'
import { assertNoPii, Redactor } from './redaction/redactor.ts'
import { reloadOf } from './redaction/reload.ts'
import { failClosed } from './state/clean.ts'
import { StateManager } from './state/state-manager.ts'
import { holdsOwnToken, newToken } from './tokens.ts'
import { ProviderKeys } from './vault/provider-keys.ts'
import { Rotation } from './vault/rotation.ts'
import { Vault } from './vault/vault.ts'

export interface RuntimeOptions {
  config: Config
  /** The configuration file that was read; null for none. */
  configFile: string | null
  /** Reads the configuration once more, as at the start. (Default: it is never read again.) */
  reload?: (() => { config: Config; file: string | null }) | undefined
  /** Where each value is from, for what is found wrong with one. (Default: the file.) */
  origins?: Readonly<Record<string, string>>
  /** The environment agents inherit, and where keys of providers are that the vault does not have. */
  environment: Readonly<Record<string, string>>
  /** Opens the vault. (Default: there is none, and the vault stays locked.) */
  masterKey?: string | undefined
  /** Why there is no master key although one is named. */
  masterKeyProblem?: string | undefined
  /** The file that it is from. */
  masterKeyFile?: string | undefined
  version: string
  clock?: Clock
}

export interface Runtime {
  readonly config: Config
  /** Where the server listens, e.g. "http://localhost:8080". */
  readonly url: string
  /** The dashboard's address with a new one-time code. */
  dashboardLink(): string
  readonly state: StateManager
  readonly supervisor: Supervisor
  readonly ledger: Ledger
  /** Which models obey their limits. */
  readonly trust: Trust
  readonly vault: Vault
  readonly circuits: Circuits
  readonly cache: ServiceCache
  readonly checkpoints: Store['checkpoints']
  /** What agents prove themselves with. */
  readonly runTokens: RunTokens
  readonly log: Log
  /**
   * Reads the configuration again: what it says of safety holds from now on, the rest after a restart. What is wrong
   * with it is recorded as an event, and nothing changes then.
   */
  reload(): void
  /** Dashboards that watch now. */
  viewers(): number
  /** Stops agents, then the server, then everything below. Safe to call twice. */
  close(reason: string): Promise<void>
}

/** The name of each provider's or service's key, in the vault or in the environment. */
export function keyNamesOf(
  named: Readonly<Record<string, { api_key_secret?: string | undefined }>>,
): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(named).map(([name, { api_key_secret }]) => [name, api_key_secret ?? ownDialect(name)?.keyVariable]),
  )
}

/** What an agent has no business with, also where it may use the folder that it lies in. */
function serverFilesOf({ config, configFile, masterKeyFile }: RuntimeOptions): string[] {
  const { path } = config.db
  return [...databaseFiles(path), masterKeyFile, config.log.dir, configFile].flatMap((file) =>
    file ? [resolve(file)] : [],
  )
}

/** Secrets of the server itself that have no form of their own. */
function knownSecretsOf({ alerts }: Config, masterKey: string | undefined): string[] {
  const mailPassword = alerts.email && decodeURIComponent(new URL(alerts.email.smtp_url).password)
  const values = [masterKey, mailPassword, ...alerts.webhooks.map(({ secret }) => secret)]
  return values.filter((value) => value !== undefined)
}

/**
 * Throws CageError `already_running`, `port_taken`, `database_unusable` or `invalid_config`; whatever was opened by then
 * is closed again.
 */
export async function openRuntime(options: RuntimeOptions): Promise<Runtime> {
  const { config, environment, version, clock = systemClock } = options
  const placeOf = (key: string) => options.origins?.[key] ?? options.configFile ?? 'the configuration'
  await requirePlausiblePrices(config, placeOf, clock.now())
  const opened: (() => Promise<void> | void)[] = []
  let reason = 'could not start'
  const closeAll = async () => {
    while (opened.length > 0) await opened.pop()!()
  }
  try {
    const redactor = new Redactor(policyOf(config.safety))
    const logRedactor = new Redactor(forLogs(policyOf(config.safety)))
    const secretsRedactor = new Redactor(SECRETS_ONLY)
    const clean = failClosed((text) => logRedactor.clean(text))
    /** For what agents do: all the policy detects, or secrets alone where its scope leaves out logs. */
    const eventRedactor = () => (redactor.covers('logs') ? logRedactor : secretsRedactor)
    const cleanEvents = (text: string) => eventRedactor().clean(text)
    if (config.agent.name !== undefined) assertNoPii(config.agent.name, logRedactor)
    const log = openLog({
      dir: config.log.dir,
      level: config.log.level,
      retentionDays: config.log.retention_days,
      redact: clean,
      clock,
    })
    opened.push(() => log.close())
    const onFault = (error: unknown, what: string) => log.error(what, { error })

    const operatorToken = newToken('ic')
    const taken = await takeDatabase(config.db.path, operatorToken)
    opened.push(() => taken.release())
    const store = openStore(config.db)
    opened.push(() => store.close())
    opened.push(await claimDatabase(store))
    const users = new Users({ store, clock })
    requireLocalOrInvited(config.server, users.count)
    const state = new StateManager({
      store,
      clock,
      retentionDays: config.log.retention_days,
      onFault,
      clean: cleanEvents,
    })
    state.subscribe((event) => log.event(event))

    const tellBroken = (problem: string, row: number | null) =>
      state.record({
        type: 'audit.broken',
        level: 'CRIT',
        message: `The audit was tampered with: ${problem}`,
        data: { problem, row },
      })
    const audit = new Audit({
      store,
      state,
      clock,
      clean,
      onFault,
      onBroken: (problem) => tellBroken(problem, null),
    })
    opened.push(() => audit.close())
    // Before the audit: what still waits to be written belongs into it as well.
    opened.push(() => state.close())

    const { masterKey, masterKeyProblem } = options
    const ownValues = knownSecretsOf(config, masterKey)
    const onValues = (values: readonly string[]) => {
      for (const each of [redactor, logRedactor, secretsRedactor]) each.know([...ownValues, ...values])
    }
    onValues([])
    const vault = await Vault.open({ store, state, audit, clock, masterKey, masterKeyProblem, onValues })
    opened.push(() => vault.close())
    const pids = vault.isLocked ? [] : ancestorsWith('IRON_CAGE_MASTER_KEY')
    if (pids.length > 0) {
      state.record({
        type: 'vault.exposed',
        level: 'WARN',
        message: `Agents can read the master key in the environment of process ${pids.join(', ')}, which started this one: name a file in IRON_CAGE_MASTER_KEY_FILE instead`,
        data: { pids },
      })
    }
    const signingKey = vault.keyFor('sessions')
    const sessions = new Sessions({ store, clock, users, operatorToken, signingKey })
    const providerKeyNames = keyNamesOf(config.providers)
    const serviceKeyNames = keyNamesOf(config.services)
    const keyNames = new Set(Object.values(providerKeyNames).filter((name) => name !== undefined))
    const keys = new ProviderKeys({ vault, state, clock, names: [...keyNames], variables: environment, onFault })
    opened.push(() => keys.close())
    const rotation = new Rotation({ vault, state, clock, providerKeyNames: keyNames })
    opened.push(() => rotation.close())

    const money = openMoney(config, { store, state, clock })
    const { ledger, trust } = money
    opened.push(() => ledger.close())
    ledger.begin()
    const uncharged = new UnchargedCalls({ state, calls: store.calls, clean, clock })
    opened.push(() => uncharged.close())
    // Secrets of our own are nobody's to look at later, not even an admin's.
    const isOwnSecret = (value: string) => holdsOwnToken(value) || ownValues.some((own) => value.includes(own))
    const incidents = new Incidents(store, state, (id, value) =>
      isOwnSecret(value) ? undefined : vault.sealOriginal(id, value),
    )
    const checkpoints = store.checkpoints
    const circuits = new Circuits({
      state,
      clock,
      configured: [...Object.keys(config.providers), ...Object.keys(config.services)],
    })
    const rateLimits = new RateLimits(clock)
    const cache = new ServiceCache({ store, clock })
    const alerts = new Alerts({ store, state, clock, config: config.alerts, onFault })
    opened.push(() => alerts.close())
    const upstream = new Upstream(config.providers, clock)
    opened.push(() => upstream.close())
    const dispatcher = openAgent({ connections: 128 })
    opened.push(() => dispatcher.destroy())

    const peers = new Peers(clock)
    const runTokens = new RunTokens(peers)
    const apiTokens = new ApiTokens({ store, clock })
    const agentFolders = new AgentFolders(environment.HOME)
    const supervisor = new Supervisor({
      state,
      ledger,
      store,
      clock,
      config,
      runTokens,
      secrets: rotation,
      providerKeyNames: keyNames,
      clean,
      parentEnvironment: environment,
      providerUrls: upstream.urls,
      serverFiles: serverFilesOf(options),
      agentFolders,
      shimFolder: `${packageFolder()}python/shim`,
      serverUrl: () => `http://127.0.0.1:${server.port}`,
      output: {
        redact: (text) => eventRedactor().redact(text),
        found: (findings, agentId) => incidents.recordAll(findings, { agentId, callId: null, place: 'output' }),
        log: (text, facts) => log.info(text, facts),
      },
    })
    // Before anybody could start another.
    await supervisor.endLeftovers()
    const server = await startServer({
      state,
      audit,
      store,
      ledger,
      clock,
      circuits,
      rateLimits,
      cache,
      alerts,
      checkpoints,
      incidents,
      redactor,
      logRedactor,
      clean,
      runTokens,
      apiTokens,
      sessions,
      users,
      supervisor,
      upstream,
      dispatcher,
      services: config.services,
      safety: config.safety,
      agentSettings: config.agent,
      environment: config.agent.environment,
      calls: store.calls,
      money,
      trust,
      uncharged,
      keys,
      providerKeyNames,
      serviceKeyNames,
      rotation,
      vault,
      maxBodyBytes: config.server.max_body_bytes,
      assets: loadAssets(`${packageFolder()}dist/web`),
      host: config.server.host,
      port: config.server.port,
      allowedHosts: config.server.allowed_hosts,
      corsOrigins: config.server.cors_origins,
      version,
      onFault,
    })
    opened.push(() => server.close())
    await peers.tryToLook(server.port)
    taken.publish(server.url)
    state.record({
      type: 'server.started',
      level: 'INFO',
      message: `Iron Cage ${version} listens on ${server.url}`,
      data: { version, url: server.url, pid: process.pid },
    })
    log.info(`The audit ends with row ${audit.head.seq}, hash ${audit.head.hash.toString('hex')}`)
    if (!audit.atStart.ok) tellBroken(audit.atStart.problem, audit.atStart.row)
    const file = options.configFile
    state.record({
      type: 'config.loaded',
      level: 'DEBUG',
      message: file
        ? `Configuration read from ${file}`
        : 'No configuration file; defaults, flags and environment apply',
      data: { file },
    })
    const load = options.reload
    const reload = load && reloadOf({ config, file, load, redactor, logRedactor, state })
    if (file !== null && reload) opened.push(watchFile(file, clock, () => reload(false)))
    opened.push(() =>
      state.record({ type: 'server.stopped', level: 'INFO', message: `Server stopped: ${reason}`, data: { reason } }),
    )
    opened.push(async () => {
      await supervisor.close()
      agentFolders.close()
    })

    return {
      config,
      url: server.url,
      dashboardLink: () => `${server.url}/#code=${sessions.newCode()}`,
      state,
      supervisor,
      ledger,
      trust,
      vault,
      circuits,
      cache,
      checkpoints,
      runTokens,
      log,
      reload: () => reload?.(true),
      viewers: server.viewers,
      close: (why) => {
        reason = why
        return closeAll()
      },
    }
  } catch (error) {
    await closeAll()
    throw isStorageFault(error) ? unusable(config.db.path, error) : error
  }
}

const unusable = (path: string, cause: unknown): CageError =>
  new CageError('database_unusable', `cannot use ${path} as a database: ${(cause as Error).message}`, {
    facts: { path },
    cause,
  })
