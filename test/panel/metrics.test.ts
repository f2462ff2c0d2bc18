/** The metrics of a Control Panel for Prometheus: the figures of the fleet page, of the caller's organization alone. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { usd } from '../../src/core/money.ts'
import { Fleet } from '../../src/panel/bank/budgets.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import type { FleetSpending, FleetView } from '../../src/panel/fleet-view.ts'
import type { RunningPanel } from '../../src/panel/server.ts'
import { gaugesOf, MAX_BUDGETS } from '../../src/panel/telemetry/fleet-gauges.ts'
import { circuitOpened, piiFound } from '../alerts/support.ts'
import { dollars } from '../support/money.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { joinMachine, openMachine } from './machine.ts'
import { openTestPanel } from './open-panel.ts'

const ORGANIZATION = { scope: 'organization', name: null } as const
const NAME = '[a-z][a-z_]*'
/** A sample as the format has it: backslashes, quotes and line breaks of a label are escaped. */
const SAMPLE = new RegExp(`^(${NAME})\\{((?:${NAME}="(?:[^"\\\\\\n]|\\\\[\\\\"n])*",?)+)\\} (-?[\\d.e+-]+)$`)

/** Samples by name and labels. Each one follows the HELP and TYPE of its metric. */
function samplesOf(text: string): Map<string, number> {
  const samples = new Map<string, number>()
  let described: string | undefined
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const [, help] = /^# HELP (\w+) \S/.exec(line) ?? []
    const [, type] = /^# TYPE (\w+) gauge$/.exec(line) ?? []
    if (help !== undefined) described = help
    if (type !== undefined) expect(type).toBe(described)
    if (line.startsWith('#')) continue
    const [, name, labels, value] = SAMPLE.exec(line) ?? []
    expect(name, line).toBe(described)
    expect(samples, line).not.toContain(`${name}{${labels}}`)
    samples.set(`${name}{${labels}}`, Number(value))
  }
  return samples
}

async function openMetrics(panel: RunningPanel, organizationId = panel.organizationId) {
  const token = await panel.fleet.credentials.createToken(organizationId, 'viewer', 'prometheus', 'ada')
  const get = (path: string) => fetch(panel.url + path, { headers: { authorization: `Bearer ${token}` } })
  const text = async () => {
    const answer = await get('/metrics')
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, expect.stringMatching(/^text\/plain; /)])
    return answer.text()
  }
  const page = async <Answer>(path: string) => (await (await get(path)).json()) as Answer
  return { text, page, samples: async () => samplesOf(await text()) }
}

test('the numbers are those of the fleet page: after a lease, a settled call, a request, and a machine that was removed', async () => {
  const panel = await openTestPanel()
  const { fleet, organizationId } = panel
  await fleet.setLimit(organizationId, ORGANIZATION, { limit: dollars('5') }, 'ada')
  await fleet.setLimit(organizationId, { scope: 'agent', name: 'a "quoted\\ one' }, { limit: dollars('0.25') }, 'ada')
  const { samples, page } = await openMetrics(panel)
  const of = (labels = '') => `{organization="default"${labels}}`
  const amounts = (all: Map<string, number>) =>
    ['limit', 'settled', 'lent', 'free'].map((what) =>
      all.get(`iron_cage_shared_budget_${what}_usd${of(',scope="organization",name="default"')}`),
    )
  const inState = (all: Map<string, number>, name: string) =>
    ['connected', 'silent', 'revoked', 'active', 'quarantined'].flatMap(
      (state) => all.get(`iron_cage_${name}${of(`,state="${state}"`)}`) ?? [],
    )
  const before = await samples()
  expect(amounts(before)).toEqual([5, 0, 0, 5])
  expect(inState(before, 'runtimes')).toEqual([0, 0, 0])
  expect(before.has(`iron_cage_runtimes_lag_max_seconds${of(',state="connected"')}`)).toBe(false)
  expect(before.get(`iron_cage_shared_budget_limit_usd${of(',scope="agent",name="a \\"quoted\\\\ one"')}`)).toBe(0.25)

  const file = temporaryFile()
  const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const { runtimeId } = await joinMachine(file, panel.url, invitation)
  const machine = openMachine(file)
  onTestFinished(() => machine.close().catch(() => undefined))
  for (const level of ['WARN', 'CRIT', 'CRIT'] as const) machine.state.record({ ...piiFound(null), level })
  // Of the same level, and no incident.
  machine.state.record(circuitOpened)
  await machine.call('0.5', async () => dollars('0.2'))
  await fleet.requests.create(
    { organizationId, role: 'viewer', id: 'token-1', name: 'grace' },
    ORGANIZATION,
    dollars('1'),
    'a larger import',
  )
  const spent = `iron_cage_spent_today_usd${of()}`
  await expect.poll(async () => (await samples()).get(spent)).toBe(0.2)
  await expect.poll(async () => amounts(await samples())[1]).toBe(0.2)
  // Between two equal pages, since the machine goes on reporting.
  const budgetOf = async () => (await page<FleetView>('/api/fleet')).budgets[0]!
  let during = await samples()
  await expect
    .poll(async () => {
      const first = await budgetOf()
      during = await samples()
      return isDeepStrictEqual(first, await budgetOf())
    })
    .toBe(true)
  const { runtimes } = await page<FleetView>('/api/fleet')
  const { limit_usd, settled_usd, lent_usd, free_usd } = await budgetOf()
  expect(Number(lent_usd)).toBeGreaterThan(0)
  expect(amounts(during)).toEqual([limit_usd, settled_usd, lent_usd, free_usd].map(Number))
  expect(inState(during, 'runtimes')).toEqual([1, 0, 0])
  expect(inState(during, 'leases')).toEqual([runtimes[0]!.leases.length, 0])
  expect(inState(during, 'leases_lent_usd')).toEqual([Number(runtimes[0]!.lent_usd), 0])
  expect(during.get(`iron_cage_runtimes_lag_max_seconds${of(',state="connected"')}`)).toBeLessThanOrEqual(10)
  expect(during.get(`iron_cage_requests_pending${of()}`)).toBe(1)
  expect(during.get(`iron_cage_reconciling${of()}`)).toBe(0)
  const incidents = async () =>
    ['WARN', 'CRIT'].map(async (level) => (await samples()).get(`iron_cage_incidents_today${of(`,level="${level}"`)}`))
  await expect.poll(async () => Promise.all(await incidents())).toEqual([1, 2])
  expect((await page<{ incidents: object[] }>('/api/fleet/incidents')).incidents).toHaveLength(3)
  const { days } = await page<{ days: FleetSpending[] }>('/api/fleet/spending?days=1')
  expect(days[0]!.parts.map(({ cost_usd }) => Number(cost_usd))).toEqual([during.get(spent)])

  const documented = readFileSync(resolve(import.meta.dirname, '../../docs/production.md'), 'utf8')
  const rows = [...documented.matchAll(/^\| `(iron_cage_\w+)` \|(.*?)\| .+ \|$/gm)]
  const labelsOf = (names: string) => ['organization', ...names.matchAll(/\w+/g)].join()
  const served = [...during.keys()].map((key) => [key.split('{')[0], [...key.matchAll(/(\w+)="/g)].map(([, n]) => n)])
  expect(new Map(rows.map(([, name, names]) => [name, labelsOf(names!)]))).toEqual(
    new Map(served.map(([name, names]) => [name, String(names)])),
  )

  await fleet.revoke(organizationId, runtimeId, 'ada')
  const after = await samples()
  expect(inState(after, 'runtimes')).toEqual([0, 0, 1])
  expect(inState(after, 'leases_lent_usd')[0]).toBe(Number((await budgetOf()).lent_usd))
})

test('an organization reads its own numbers alone, a machine none', async () => {
  const database = temporaryFile('panel.db')
  const parts = await openPanelDatabase(database)
  const other = await new Fleet(parts).openOrganization('other')
  await parts.close()
  const panel = await openTestPanel({ database })
  const { fleet, organizationId } = panel
  await fleet.setLimit(organizationId, { scope: 'team', name: 'ours' }, { limit: dollars('3') }, 'ada')
  await fleet.setLimit(other, { scope: 'team', name: 'theirs' }, { limit: dollars('7') }, 'eve')
  const invitation = await fleet.credentials.invite(other, { team: null, user: null }, 'x', 'eve')
  const { token } = await joinMachine(temporaryFile(), panel.url, invitation)
  const [ours, theirs] = [await openMetrics(panel), await openMetrics(panel, other)]
  const runtimes = (organization: string) => `iron_cage_runtimes{organization="${organization}",state="silent"}`
  expect(await ours.text()).not.toMatch(/theirs|other/)
  expect((await ours.samples()).get(runtimes('default'))).toBe(0)
  expect(await theirs.text()).not.toMatch(/ours|default/)
  expect((await theirs.samples()).get(runtimes('other'))).toBe(1)
  const asMachine = await fetch(`${panel.url}/metrics`, { headers: { authorization: `Bearer ${token}` } })
  expect([asMachine.status, (await fetch(`${panel.url}/metrics`)).status]).toEqual([403, 401])
})

test('the first thousand budgets have numbers of their own, and how many have none is one', () => {
  const amounts = { limit_usd: usd('1'), settled_usd: usd('0'), lent_usd: usd('0'), free_usd: usd('1') }
  const budgets = Array.from({ length: MAX_BUDGETS + 2 }, (_, n) => ({
    ...{ scope: 'token' as const, name: `token ${n}`, period: null, ends_at: null },
    ...amounts,
  }))
  const view = { organization: 'acme', cover_s: 60, server_time: '2026-01-02T00:00:00.000Z', reconciling_until: null }
  const gauges = gaugesOf(
    { ...view, budgets, runtimes: [] },
    {
      ...{ pendingRequests: 0, spendingAlerts: 0, spentNanos: 0n, incidents: [] },
    },
  )
  const valuesOf = (name: string) => gauges.find((gauge) => gauge.name === `iron_cage_${name}`)!.values
  expect(valuesOf('shared_budget_limit_usd')).toHaveLength(MAX_BUDGETS)
  expect(valuesOf('shared_budgets').map(({ value }) => value)).toEqual([MAX_BUDGETS + 2])
  expect(valuesOf('shared_budgets_omitted').map(({ value }) => value)).toEqual([2])
})
