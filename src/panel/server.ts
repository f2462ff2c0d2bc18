import type { BlockList } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Context, Hono } from 'hono'
import { panelFileSchema } from '../config/schema.ts'
import { type Clock, every, isoTime } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import type { Assets } from '../http/assets.ts'
import { NO_PROXIES } from '../http/caller-address.ts'
import { errorResponse } from '../http/error-response.ts'
import type { Env, Guard } from '../http/guard.ts'
import { serveRoutes } from '../http/route.ts'
import { type Serving, secureApp, serve } from '../http/serve.ts'
import type { Member, PanelRole } from './access/credentials.ts'
import { Erasures } from './access/erasure.ts'
import { IdentityProvider, type IdentityProviderOptions } from './access/identity-provider.ts'
import { ProviderSignIns } from './access/provider-sign-ins.ts'
import { pruneAttempts } from './access/shared-attempts.ts'
import type { AlertSenderOptions } from './alerts/alert-sender.ts'
import { AlertWebhooks } from './alerts/alert-webhooks.ts'
import { PanelAlerts } from './alerts/alerts.ts'
import { SpendingAlerts } from './alerts/spending-alerts.ts'
import { revokedRuntime } from './bank/bank.ts'
import { BooksWatch } from './bank/books-watch.ts'
import { Fleet } from './bank/budgets.ts'
import { Control } from './control/control.ts'
import { Orders } from './control/orders.ts'
import { Policies } from './control/policies.ts'
import { type MasterKey, openSecretKey } from './control/secret-key.ts'
import { PanelSecrets } from './control/secrets.ts'
import type { PanelDatabase } from './db/database.ts'
import { DatabaseWatch } from './db/database-watch.ts'
import { openPanelDatabase } from './db/open.ts'
import { throughRedis } from './db/redis-changes.ts'
import { Drain } from './drain.ts'
import { ORGANIZATION } from './organization.ts'
import { type PanelParts, panelRoutes } from './routes.ts'
import { SharedViews } from './shared-views.ts'
import { PanelTelemetry } from './telemetry/telemetry.ts'
import { viewOf } from './views.ts'

export interface PanelOptions extends MasterKey {
  /** "postgres://…", or the path of an SQLite file. */
  database: string
  /** "redis://…", through which processes are notified of changes. (Default: LISTEN of PostgreSQL.) */
  redis?: string | undefined
  host: string
  port: number
  /** Names besides the loopback ones that clients may use, such as "panel.example.com". */
  allowedHosts: readonly string[]
  /** Proxies whose X-Forwarded-For is believed. (Default: none.) */
  trustedProxies?: BlockList | undefined
  /** How long runtimes may spend without hearing from the panel, in ms. */
  ttlMs: number
  /** Where people may sign in besides. (Default: nowhere.) */
  identityProvider?: IdentityProviderOptions | undefined
  version: string
  clock: Clock
  /** Where alerts are sent, besides the webhooks of organizations. (Default: nowhere.) */
  alerts?: Pick<AlertSenderOptions, 'config' | 'retryPolicy'> | undefined
  /** The files of the dashboard. */
  assets: Assets
  onNotice: (text: string) => void
  onFault: (error: unknown, what: string) => void
}

export interface RunningPanel extends OpenedParts {
  url: string
  organizationId: string
  close(): Promise<void>
}

type OpenedParts = Omit<PanelParts, 'version' | 'ttlMs' | 'onNotice'>

/** Organizations are then kept apart by the panel's statements alone. */
const EXEMPT =
  'the database role is a superuser or exempt from row-level security; use one that is not, and owns the database'
const reconciling = (until: number): string =>
  `the database has lost its last commits: nothing is lent until all runtimes have presented their leases, or ${isoTime(until)}`
/** How often leases of silent runtimes are looked for. */
const EXPIRY_INTERVAL_MS = 5_000
/** How often failed sign-ins are looked for that belong into an audit. */
const FAILURES_INTERVAL_MS = 60_000
/** How often unusual spending is looked for. */
const SPENDING_INTERVAL_MS = 600_000
const NOT_PREPARED = 'making partitions of the next days failed: events go to the default one'
/** How often old events are deleted, and room is made for those of the next days. */
const PRUNE_INTERVAL_MS = 3_600_000

/** Throws CageError `database_unusable` or `port_taken`. */
export async function startPanel(options: PanelOptions): Promise<RunningPanel> {
  const { clock, onNotice, identityProvider, trustedProxies = NO_PROXIES } = options
  const provider = identityProvider && new IdentityProvider(identityProvider, clock)
  const { database, isRedisConnected } = await openShared(options)
  try {
    const fleet = new Fleet(database, (until) => onNotice(reconciling(until)))
    await fleet.bank.open(options.ttlMs)
    const organizationId = await fleet.openOrganization(ORGANIZATION)
    if (!(await fleet.enforcesRowSecurity())) onNotice(EXEMPT)
    const telemetry = new PanelTelemetry(database)
    await telemetry.store.prepare().catch((error) => options.onFault(error, NOT_PREPARED))
    const orders = new Orders(database)
    const key = await openSecretKey(database, options)
    if (key.problem !== undefined) onNotice(key.problem)
    const secrets = new PanelSecrets(database, key.keyFor)
    const policies = new Policies(database)
    const control = new Control({ database, clock, orders, secrets })
    const providerSignIns = new ProviderSignIns(database, provider, fleet.people.failures)
    const erasures = new Erasures(database)
    const spendingAlerts = new SpendingAlerts(database)
    const alertsConfig = options.alerts?.config ?? panelFileSchema.parse({}).alerts
    const alerts = new PanelAlerts({
      ...{ database, clock, onNotice, config: alertsConfig, retryPolicy: options.alerts?.retryPolicy },
      webhooks: new AlertWebhooks(database, key.keyFor, alertsConfig.networks),
    })
    const views = new SharedViews(clock, (id) => viewOf({ fleet, telemetry, orders }, id))
    const parts = {
      ...{ fleet, views, telemetry, orders, control, secrets, policies },
      ...{ providerSignIns, erasures, trustedProxies, spendingAlerts, alerts, isRedisConnected },
      drain: new Drain(clock),
    }
    const server = await listen(options, parts)
    alerts.start()
    const watch = database.dialect.kind === 'postgres' ? new DatabaseWatch(database, clock, onNotice) : undefined
    const onFault: PanelOptions['onFault'] = async (error, what) => {
      if ((await watch?.isUsable()) !== false) options.onFault(error, what)
    }
    const books = new BooksWatch(database, clock, onFault)
    const tasks = startTasks({ ...options, onFault }, { database, fleet, telemetry, spendingAlerts })
    const close = async () => {
      for (const stop of tasks) stop()
      // Its answer is not requested again here: nothing listens any more.
      control.close()
      await server.close()
      await alerts.close()
      await books.close()
      await watch?.close()
      await database.close()
    }
    return { url: server.url, ...parts, organizationId, close }
  } catch (error) {
    await database.discard()
    throw error
  }
}

async function openShared({ database, redis, onNotice }: PanelOptions) {
  const opened = await openPanelDatabase(database)
  if (redis === undefined) return { database: opened, isRedisConnected: undefined }
  const announced = throughRedis(opened, redis, onNotice)
  return { database: announced, isRedisConnected: announced.isConnected }
}

/** What every process of the panel does from time to time; any of them will do. Returns what stops each task. */
function startTasks(
  { clock, onNotice, onFault }: PanelOptions,
  {
    database,
    fleet,
    telemetry,
    spendingAlerts,
  }: { database: PanelDatabase } & Pick<PanelParts, 'fleet' | 'telemetry' | 'spendingAlerts'>,
): (() => void)[] {
  const task = (intervalMs: number, work: () => Promise<void>, problem: string) =>
    every(clock, intervalMs, () => void work().catch((error) => onFault(error, problem)))
  const expire = async () => {
    for (const id of await fleet.expire()) onNotice(`lease ${id} has expired: its runtime is silent`)
  }
  const lookAtSpending = async () => {
    for (const id of await fleet.organizations()) {
      for (const text of await spendingAlerts.look(id, clock.now())) onNotice(text)
    }
  }
  const prune = async () => {
    await telemetry.store.prepare().catch((error) => onFault(error, NOT_PREPARED))
    await telemetry.prune(await fleet.organizations())
    await pruneAttempts(database)
  }
  return [
    task(EXPIRY_INTERVAL_MS, expire, 'looking for expired leases failed'),
    task(FAILURES_INTERVAL_MS, () => fleet.people.failures.record(), 'recording failed sign-ins failed'),
    task(SPENDING_INTERVAL_MS, lookAtSpending, 'looking for unusual spending failed'),
    task(PRUNE_INTERVAL_MS, prune, 'deleting old rows failed'),
  ]
}

function listen(options: PanelOptions, parts: OpenedParts): Promise<Serving> {
  const { host, port, allowedHosts, clock, assets, onFault } = options
  const onApi = getRequestListener(application(options, parts).fetch, { overrideGlobalObjects: false })
  return serve({
    ...{ host, port, allowedHosts, clock, onFault, isBehindTls: true },
    onRequest: (request, response) => {
      parts.drain.watch(response)
      if (!assets(request, response)) void onApi(request, response)
    },
    onRefused: (_, error) => withPanelHint(error),
  })
}

/** A panel has flags where a server has a configuration. */
function withPanelHint(error: CageError): CageError {
  const hints: Partial<Record<string, string>> = {
    host_refused: 'use the address that "iron-cage panel" printed, or start the panel with the name in --allowed-hosts',
    origin_refused: 'call from a page of the panel itself, or without a browser',
  }
  const hint = hints[error.code]
  return hint === undefined ? error : new CageError(error.code, error.message, { hint })
}

function application({ version, ttlMs, onNotice, onFault }: PanelOptions, parts: OpenedParts): Hono<Env> {
  return serveRoutes(secureApp(), panelRoutes({ ...parts, version, ttlMs, onNotice }), guardOf(parts.fleet))
    .notFound(({ req }) => {
      throw new CageError('not_found', `there is no ${req.method} ${req.path} on a Control Panel`, {
        hint: 'for the server of this machine unset IRON_CAGE_URL; for the panel see "iron-cage runtimes list", and "budget" and "secrets" with --org; GET /api/openapi.json lists every route',
      })
    })
    .onError((error, context) => errorResponse(context, error, onFault, (text) => text))
}

const withoutToken = (): CageError =>
  new CageError('unauthorized', 'this needs an Authorization header with a token of this panel', {
    hint: 'sign in with "iron-cage login", or set IRON_CAGE_TOKEN to a token from "iron-cage panel token"',
  })

/** An invitation works once, and the fate of a token is not disclosed. */
const unknownToken = (): CageError =>
  new CageError('unauthorized', 'this token is unknown, was used or has ended', {
    hint: 'ask an admin for another one: "iron-cage runtimes invite" for a machine, "iron-cage token generate" for a program',
  })

/** An admin has the rights of a viewer; no other role includes another. A runtime that was removed may do nothing. */
const guardOf =
  (fleet: Fleet) =>
  (role: PanelRole): ReturnType<Guard> =>
  async (context, next) => {
    const token = bearerOf(context)
    const member = token === undefined ? undefined : await identify(fleet, token)
    if (!member) throw token === undefined ? withoutToken() : unknownToken()
    if (member.role !== role && !(member.role === 'admin' && role === 'viewer')) {
      throw new CageError('forbidden', `this needs the role ${role}, and the token has the role ${member.role}`, {
        hint:
          role === 'admin' && member.role === 'viewer'
            ? 'ask an admin; for more of a budget: "iron-cage requests create <usd> --reason <text>"'
            : undefined,
      })
    }
    if (member.isRevoked) throw revokedRuntime()
    // The panel's own type of caller, as its routes declare.
    context.set('identity', member as Member & never)
    await next()
  }

async function identify(fleet: Fleet, token: string): Promise<Member | undefined> {
  try {
    return await fleet.credentials.identify(token)
  } catch (cause) {
    throw new CageError('database_unusable', "the panel's database cannot be used", { hint: 'check PostgreSQL', cause })
  }
}

/** The bearer token of a request. */
const bearerOf = ({ req }: Context): string | undefined =>
  /^bearer +(\S+)$/i.exec(req.header('authorization') ?? '')?.[1]
