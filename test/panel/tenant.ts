/** An organization that has a row in every table, and one caller of each kind. */
import { panelFileSchema } from '../../src/config/schema.ts'
import type { RuntimeEvent } from '../../src/core/events.ts'
import { toAgentId } from '../../src/core/ids.ts'
import { usd } from '../../src/core/money.ts'
import type { PanelRole } from '../../src/panel/access/credentials.ts'
import { grantLease, openRuntime } from '../../src/panel/bank/bank.ts'
import type { PanelDatabase } from '../../src/panel/db/database.ts'
import { insert } from '../../src/panel/db/insert.ts'
import type { RunningPanel } from '../../src/panel/server.ts'
import { dollars } from '../support/money.ts'

/** Who calls, and with which role. */
export const CALLERS = {
  'an admin': 'admin',
  'a token of an admin': 'admin',
  'a user': 'viewer',
  'the lead of a team': 'viewer',
  'a token of a viewer': 'viewer',
  'a machine': 'runtime',
  'an invited machine': 'invited',
} as const satisfies Record<string, PanelRole>
export type Caller = keyof typeof CALLERS

/** Names that people give to things. */
export interface Names {
  team: string
  user: string
  lead: string
  agent: string
  token: string
}

export interface Tenant {
  id: string
  name: string
  names: Names
  /** Of its rows. */
  ids: Readonly<Record<TenantRow, string>>
  /** Secret texts of this organization. */
  words: readonly string[]
  /** Of the lease. */
  signed: string
  journal: string
  password: string
  /** A token of each caller that works. */
  token(caller: Caller): Promise<string>
  /** The next token of this caller is another one. */
  forget(caller: Caller): void
  /** The code of a link to the dashboard. */
  code(): Promise<string>
  /** Begins an epoch of the machine, and returns it. */
  openEpoch(): Promise<number>
  /** An agent of the machine asks for more, again unless the machine is another one. Returns the request's id. */
  askAgain(): Promise<string>
}

type TenantRow = (typeof ROWS)[number]
const ROWS = [
  ...(['machine', 'lease', 'lostLease', 'request', 'order', 'secret', 'webhook'] as const),
  ...(['alert', 'token', 'session', 'user', 'agentRequest'] as const),
]

export const AGENT = toAgentId('a-1')
const TTL_MS = 600_000

/** The options of a panel under which an organization can have everything. */
export const TENANT_PANEL = {
  masterKey: 'k7Qe2n0Z-VtYxW1rBs9uLcDpAa3fGh5JmX8iOo4q_Ew',
  alerts: { config: panelFileSchema.parse({ alerts: { networks: ['127.0.0.0/8'] } }).alerts },
}
const PASSWORD = 'correct horse'

export async function openTenant(
  panel: RunningPanel,
  database: PanelDatabase,
  name: string,
  names: Names,
): Promise<Tenant> {
  const { fleet, orders, secrets, policies, alerts } = panel
  const { credentials, people, bank } = fleet
  const id = await fleet.openOrganization(name)
  const ada = { organizationId: id, name: `${name}-ada` }
  const amount = dollars('0.1')
  const limits = { organization: null, team: names.team, user: names.user, agent: names.agent, token: names.token }
  for (const [scope, whose] of Object.entries(limits)) {
    const period = scope === 'agent' ? { period: 'month' as const } : {}
    const owner = { scope: scope as keyof typeof limits, name: whose }
    // A lead decides as long as it stays within the team's.
    const limit = dollars(scope === 'user' ? '20' : '50')
    await fleet.setLimit(id, owner, { limit, ...period }, ada.name)
  }
  const invite = () => credentials.invite(id, { team: names.team, user: null }, 'x', ada.name)
  const join = async (machine: string) =>
    credentials.join((await credentials.identify(await invite()))!, `${name}-${machine}`, '1')
  const open = (runtimeId: string, journalId: string) =>
    bank.run({ runtimeId, allLeases: true }, (books) => openRuntime(books, runtimeId, { journalId, epoch: 0 }, TTL_MS))
  const lend = async (runtimeId: string, epoch: number) => {
    const caller = { agent: names.agent, token: null }
    const lent = await bank.run({ runtimeId, names: caller }, (books) =>
      grantLease(books, runtimeId, { epoch, request: 0, least: amount, want: amount, ...caller }, TTL_MS),
    )
    if (lent.outcome !== 'granted') throw new Error(lent.outcome)
    return lent
  }

  const journal = `journal of ${name}`
  const first = await join('laptop')
  let machine: typeof first | undefined = first
  const lease = await lend(first.runtimeId, (await open(first.runtimeId, journal)).epoch)
  const lost = await join('lost')
  const lostLease = await lend(lost.runtimeId, (await open(lost.runtimeId, 'one')).epoch)
  // Quarantined: an admin of its organization may resolve it.
  await open(lost.runtimeId, 'another')

  const add = async (username: string, role: 'admin' | 'viewer') =>
    people.add(ada, { username, role, email: `${username}@${name}.example` })
  const [admin, user, lead] = [
    await add('ann', 'admin'),
    await add(names.user, 'viewer'),
    await add(names.lead, 'viewer'),
  ]
  await fleet.teams.set(ada, names.team, user.id, 'member')
  await fleet.teams.set(ada, names.team, lead.id, 'lead')
  const sessionOf = async (person: typeof user) => {
    const { id: userId, username, role } = person
    return (await credentials.openSession({ organizationId: id, role, name: username, userId })).access_token
  }
  const tokenOf = (role: 'admin' | 'viewer') => credentials.createToken(id, role, `${role}'s`, ada.name)
  const issue = {
    'an admin': () => sessionOf(admin),
    'a token of an admin': () => tokenOf('admin'),
    'a user': () => sessionOf(user),
    'the lead of a team': () => sessionOf(lead),
    'a token of a viewer': () => tokenOf('viewer'),
    'a machine': async () => {
      machine ??= await join('laptop')
      return machine.token
    },
    'an invited machine': invite,
  } satisfies Record<Caller, () => Promise<string>>
  const tokens = new Map<Caller, string>()
  const token = async (caller: Caller) => {
    const value = tokens.get(caller) ?? (await issue[caller]())
    tokens.set(caller, value)
    return value
  }

  const asker = (await credentials.identify(await sessionOf(user)))!
  const request = await fleet.requests.create(asker, { scope: 'user', name: names.user }, amount, `${name}-reason`)
  const askAs = ({ runtimeId, name: machineName }: typeof first) =>
    fleet.agentRequests.ask(
      { organizationId: id, role: 'runtime', id: runtimeId, name: machineName },
      { names: { agent: names.agent, token: null }, amount, reason: `${name}-reason` },
    )
  const agentRequest = await askAs(first)
  await secrets.allow(ada, first.runtimeId, ['production'])
  const place = { name: 'KEY', environment: null, agent: null }
  const secret = await secrets.set(ada, place, `${name}-secret-value`)
  await policies.set(ada, { safety: { mode: 'warn' } })
  const hook = { url: `http://127.0.0.1:9/${name}-path`, events: ['sign_in.failed'] } as const
  const webhook = await alerts.webhooks.add(ada, hook)
  await panel.telemetry.take(id, first.runtimeId, {
    ...{ journal_id: journal, after: 0, through: 3, lost: null },
    events: happened(name, names),
  })
  const order = await orders.create(ada, { runtimeId: first.runtimeId, agentId: AGENT, action: 'stop' })
  await people.failures.count(name)
  const issued = await credentials.issueToken({
    ...{ organizationId: id, role: 'viewer', name: `${name}-token`, by: ada.name, userId: null, lifeMs: null },
  })
  await database.within(id, async (sql) => {
    const alert = { alert_id: `alert-of-${name}`, channel: webhook.id, organization_id: id, kind: 'sign_in.failed' }
    const sent = { level: 'WARN', title: `${name}-title`, detail: '', raised_at: 1, state: 'failed', attempts: 8 }
    await insert(sql, 'alert_deliveries', [{ ...alert, ...sent, due_at: 1, error: null }])
    const unusual = { organization_id: id, scope: 'agent', name: names.agent, day: '2026-01-02' }
    await insert(sql, 'spending_alerts', [{ ...unusual, raised_at: 1, cost_nanos: 2, usual_nanos: 1 }])
  })

  return {
    ...{ id, name, names, journal, token, password: PASSWORD, signed: lease.signed! },
    words: ['ada', 'laptop', 'reason', 'secret', 'path', 'token', 'title', 'script'].map((word) => `${name}-${word}`),
    ids: {
      ...{
        machine: first.runtimeId,
        lease: lease.id,
        lostLease: lostLease.id,
        request: request.id,
        agentRequest: agentRequest.id,
      },
      ...{ order: order.id, secret: secret.id, webhook: webhook.id, alert: `alert-of-${name}` },
      ...{ token: issued.id, session: asker.id, user: user.id },
    },
    forget: (caller) => {
      tokens.delete(caller)
      if (caller === 'a machine') machine = undefined
    },
    code: () => credentials.newCode(id, ada.name),
    openEpoch: async () => {
      machine ??= await join('laptop')
      return (await open(machine.runtimeId, journal)).epoch
    },
    askAgain: async () => {
      machine ??= await join('laptop')
      return (await askAs(machine)).id
    },
  }
}

/** On its machine: an agent was started and paid for a service, and something personal was found. */
function happened(name: string, { agent }: Names): RuntimeEvent[] {
  const about = { at: '2026-01-02T03:04:05.000Z', level: 'INFO', agent_id: AGENT } as const
  const run = { run_id: 'run-1', script: `/${name}-script.py`, environment: 'production', pid: 1, restart: 0 }
  const limits = { limit_usd: usd('50'), safety_mode: 'redact', detect: ['email'] }
  const paid = { call_id: 'call-1', service: 'crm', ok: true, status: 200, tier: 1, blocked: false, latency_ms: 1 }
  const events = [
    { type: 'agent.started', data: { ...run, ...limits, name: agent } },
    { type: 'service.called', data: { ...paid, cost_usd: usd('0.01'), saved_usd: usd('0') } },
    { type: 'pii.found', data: { pii_type: 'email', action: 'redact', place: `${name}-script`, count: 1 } },
  ]
  return events.map((event, index) => ({ ...about, seq: index + 1, message: '', ...event }) as unknown as RuntimeEvent)
}

/** Its rows in each of these tables, as text. */
export async function rowsOf({ system }: PanelDatabase, tables: readonly string[], id: string) {
  const selects = tables.map((table) => {
    const column = table === 'organizations' ? 'id' : 'organization_id'
    return `SELECT '${table}' AS name, ${table}::text AS row FROM ${table} WHERE ${column} = $1`
  })
  const found = await system.rows<{ name: string; row: string }>(`${selects.join(' UNION ALL ')} ORDER BY 1, 2`, [id])
  return Object.fromEntries(
    tables.map((table) => [table, found.filter(({ name }) => name === table).map(({ row }) => row)]),
  )
}
