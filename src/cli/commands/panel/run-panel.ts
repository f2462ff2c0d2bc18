/** What `panel` does: runs a Control Panel until it is asked to end. */
import { isLoopback } from '../../../access/localhost.ts'
import { loadFile } from '../../../config/config.ts'
import { wholeNumber } from '../../../config/env.ts'
import { panelFileSchema } from '../../../config/schema.ts'
import { systemClock } from '../../../core/clock.ts'
import { CageError } from '../../../core/errors.ts'
import { packageFolder } from '../../../core/package-folder.ts'
import { loadAssets } from '../../../http/assets.ts'
import { parseProxies } from '../../../http/caller-address.ts'
import type { IdentityProviderOptions } from '../../../panel/access/identity-provider.ts'
import { isPostgres, withoutPassword } from '../../../panel/db/open.ts'
import { type PanelOptions, type RunningPanel, startPanel } from '../../../panel/server.ts'
import { tree } from '../../output/print.ts'
import type { Terminal } from '../../output/terminal.ts'
import { VERSION } from '../../output/version.ts'
import { readSecret } from '../../settings/secret-input.ts'
import { listenForEnd } from '../../start/live.ts'
import { redisOf } from './fleet.ts'

interface PanelFlags {
  database: string
  redis?: string
  host: string
  port: string
  allowRemote?: boolean | undefined
  allowedHosts?: string
  trustedProxies?: string
  leaseTtl: string
  oidcIssuer?: string
  oidcClientId?: string
  oidcSecretFile?: string
  config?: string
}

/** Throws what `startPanel` throws, and CageError `usage` or `invalid_config` for flags and variables. */
export async function runPanel(flags: PanelFlags, terminal: Terminal): Promise<void> {
  const { database, host, allowedHosts = '', trustedProxies = '' } = flags
  if (!isLoopback(host) && !flags.allowRemote) {
    throw new CageError('usage', `other machines reach ${host}, which needs --allow-remote`)
  }
  const end = listenForEnd(terminal)
  const print = (level: string, text: string) =>
    terminal.err(`[${new Date().toTimeString().slice(0, 8)}] ${level.padEnd(5)} ${text}`)
  const redis = redisOf(flags, terminal)
  const running = await startPanel({
    database,
    redis: redis?.url,
    host,
    port: numberOf(flags.port, '--port', 0, 65_535),
    allowedHosts: allowedHosts.split(',').filter(Boolean),
    trustedProxies: parseProxies(trustedProxies),
    ttlMs: numberOf(flags.leaseTtl, '--lease-ttl', MIN_TTL_S, MAX_TTL_S) * 1000,
    identityProvider: await identityProviderOf(flags, terminal),
    ...terminal.env.readMasterKey(),
    version: VERSION,
    alerts: alertsOf(flags, terminal),
    clock: systemClock,
    assets: loadAssets(`${packageFolder()}dist/panel`),
    onNotice: (text) => print('WARN', text),
    onFault: (error, what) => print('ERROR', `${what}: ${(error as Error).message}`),
  })
  try {
    const names = { database, redis: redis?.name ?? null }
    for (const line of await startLines(running, names, terminal.columns !== undefined)) terminal.out(line)
    const reason = await end.asked
    // From a terminal, or where no other process can answer, there is nothing to wait for.
    if (reason === 'SIGTERM' && isPostgres(database)) await running.drain.run()
  } finally {
    await running.close()
    end.dispose()
  }
}

async function identityProviderOf(
  { oidcIssuer: issuer, oidcClientId: clientId, oidcSecretFile: fromFile }: PanelFlags,
  terminal: Terminal,
): Promise<IdentityProviderOptions | undefined> {
  if (issuer === undefined && clientId === undefined && fromFile === undefined) return undefined
  if (issuer === undefined || clientId === undefined) {
    throw new CageError('usage', 'an identity provider needs both --oidc-issuer and --oidc-client-id')
  }
  const what = "the client's secret"
  return {
    ...{ issuer, clientId },
    clientSecret: fromFile === undefined ? undefined : await readSecret({ what, fromFile }, terminal),
  }
}

/** Throws InvalidConfigError. */
function alertsOf({ config }: PanelFlags, { cwd }: Terminal): PanelOptions['alerts'] {
  return config === undefined ? undefined : { config: loadFile(config, cwd, panelFileSchema).alerts }
}

const MIN_TTL_S = 2
const MAX_TTL_S = 86_400

function numberOf(text: string, flag: string, least: number, most: number): number {
  const value = wholeNumber(text)
  if (typeof value === 'number' && value >= least && value <= most) return value
  throw new CageError('usage', `${flag}: expected a whole number from ${least} to ${most}, got "${text}"`)
}

/**
 * Links for the reader of the output: while there is no other way to sign in, and on a terminal. A log keeps none for
 * long. Next steps only while they are next: one that is pasted again would change the limit.
 */
async function startLines(
  { url, fleet, organizationId }: RunningPanel,
  { database, redis }: { database: string; redis: string | null },
  isTerminal: boolean,
): Promise<string[]> {
  const { credentials } = fleet
  const { budgets, runtimes } = await fleet.read(organizationId)
  const hasBudget = budgets.some(({ limit_nanos }) => limit_nanos > 0)
  const shows = isTerminal || !(await credentials.hasAdmin(organizationId))
  const link = async () => `${url}/#code=${await credentials.newCode(organizationId, "the panel's terminal")}`
  return tree(`Iron Cage ${VERSION} Control Panel`, [
    ['Database', withoutPassword(database)],
    ['Redis', redis],
    ['Fleet', shows ? `${await link()} (works once, within an hour)` : url],
    ['Next', `export IRON_CAGE_URL=${url}`],
    ['', shows ? `iron-cage login --link "${await link()}"` : 'iron-cage login <user>'],
    ['', hasBudget ? null : 'iron-cage budget set --org 5'],
    ['', runtimes.length > 0 ? null : 'iron-cage runtimes invite'],
  ])
}
