/** A new version of a panel in the place of the old one, process by process, while machines and people use them. */
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Fleet } from '../../src/panel/bank/budgets.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import { ORGANIZATION } from '../../src/panel/organization.ts'
import { openPlace } from '../cli/support.ts'
import { freePort } from '../support/free-port.ts'
import { dollars } from '../support/money.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { type Balancer, openBalancer } from './balancer.ts'
import { joinMachine, type Machine, openMachine } from './machine.ts'
import { type Cluster, startCluster } from './postgres.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

const COST = dollars('0.0001')
const MACHINES = 3
/** Of each machine. */
const CALLERS = 2

/** The books, and the credentials for panels on them. */
async function openBooks(database: string) {
  const opened = await openPanelDatabase(database)
  onTestFinished(() => opened.close())
  const fleet = new Fleet(opened)
  const organizationId = await fleet.openOrganization(ORGANIZATION)
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('20') }, 'ada')
  const invite = () => fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const admin = await fleet.credentials.createToken(organizationId, 'admin', 'ada', 'ada')
  return { fleet, organizationId, invite, admin }
}

/** A request whose body is not complete yet, to a panel that has read its head. */
async function beginRequest(port: number, token: string): Promise<ClientRequest> {
  const begun = request({
    ...{ port, host: '127.0.0.1', method: 'PATCH', path: '/api/fleet/cover' },
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', expect: '100-continue' },
  })
  begun.flushHeaders()
  await once(begun, 'continue')
  begun.write('{ "cover_s": ')
  return begun
}

async function endRequest(begun: ClientRequest): Promise<IncomingMessage> {
  const answered = once(begun, 'response')
  begun.end('10 }')
  const [answer] = (await answered) as [IncomingMessage]
  answer.resume()
  return answer
}

/** Everything that uses panels, through a balancer. */
function use({ url }: Balancer, admin: string, machines: readonly { machine: Machine; token: string }[]) {
  let isOver = false
  const seen = { calls: 0, refused: [] as string[], answers: 0, failed: [] as string[] }
  const repeat = async (work: () => Promise<unknown>) => {
    while (!isOver) await work()
  }
  const get = async (path: string, token?: string): Promise<unknown> => {
    const headers = { ...(token !== undefined && { authorization: `Bearer ${token}` }) }
    const answer = await fetch(url + path, { headers }).catch((error: Error) => error)
    if (answer instanceof Response && answer.ok) {
      seen.answers += 1
      return answer.headers.get('content-type')?.includes('json') ? answer.json() : answer.text()
    }
    seen.failed.push(`${path}: ${answer instanceof Response ? answer.status : answer.message}`)
    return undefined
  }
  const people = [
    // Without a pause: an update loses the requests that arrive in the very moment in which a panel closes.
    ...Array.from({ length: 4 }, () => repeat(() => get('/api/version'))),
    repeat(async () => {
      await get('/api/fleet', admin)
      await wait(50)
    }),
    repeat(async () => {
      await get('/')
      await wait(200)
    }),
  ]
  const calling = machines.flatMap(({ machine }) =>
    Array.from({ length: CALLERS }, () =>
      repeat(async () => {
        const code = await machine.call('0.02', async () => COST).catch((error: { code: string }) => error.code)
        if (code === undefined) seen.calls += 1
        else seen.refused.push(code)
        await wait(2)
      }),
    ),
  )
  const listening = machines.map(async ({ token }) => {
    let known = ''
    await repeat(async () => {
      const news = (await get(`/api/control?known=${known}`, token)) as { revision: string } | undefined
      known = news?.revision ?? known
    })
  })
  const end = async () => {
    isOver = true
    await Promise.all([...people, ...calling])
    for (const { machine } of machines) await machine.close()
    return { ...seen, ended: Promise.all(listening) }
  }
  return { seen, end }
}

test('three panels are replaced one after the other, and no request, call, order or page of anybody fails', async () => {
  const place = openPlace()
  const database = await cluster.newDatabase()
  const { fleet, organizationId, invite, admin } = await openBooks(database)
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  const balancer = await openBalancer(ports)
  onTestFinished(() => balancer.close())
  const start = (port: number) => {
    const { host } = new URL(balancer.url)
    const flags = ['--database', database, '--port', String(port), '--allowed-hosts', host]
    return place.start(['panel', ...flags])
  }
  const panels = ports.map(start)
  await expect.poll(() => balancer.ready.size).toBe(3)
  const machines = await Promise.all(
    Array.from({ length: MACHINES }, async () => {
      const path = temporaryFile()
      const { token } = await joinMachine(path, balancer.url, await invite())
      return { machine: openMachine(path), token }
    }),
  )
  const { seen, end } = use(balancer, admin, machines)
  await expect.poll(() => seen.calls).toBeGreaterThan(50)

  for (const [at, port] of ports.entries()) {
    const address = `http://127.0.0.1:${port}`
    const old = panels[at]!
    const headers = { authorization: `Bearer ${machines[0]!.token}` }
    const { revision } = (await (await fetch(`${address}/api/control`, { headers })).json()) as { revision: string }
    const waiting = fetch(`${address}/api/control?known=${revision}`, { headers })
    const begun = await beginRequest(port, admin)
    old.child.kill('SIGTERM')
    const readiness = () => fetch(`${address}/health/ready`)
    await expect.poll(async () => (await readiness()).status).toBe(503)
    // It reports this before it closes, and answers until then.
    const unready = await readiness()
    expect(await unready.json()).toMatchObject({ status: 'draining' })
    expect(unready.headers.get('connection')).toBe('close')
    const { statusCode, headers: answered } = await endRequest(begun)
    expect([statusCode, answered.connection]).toEqual([200, 'close'])
    const news = await waiting
    expect([news.status, news.headers.get('connection')]).toEqual([200, 'close'])
    const { code, err } = await old.ended
    expect([code, err]).toEqual([0, expect.stringContaining('Stopping on SIGTERM')])
    expect(err).not.toContain('ERROR')
    expect(balancer.ready.has(port)).toBe(false)
    const before = seen.calls
    panels[at] = start(port)
    await expect.poll(() => balancer.ready.size).toBe(3)
    await expect.poll(() => seen.calls).toBeGreaterThan(before + 50)
  }

  const { refused, failed, calls, ended } = await end()
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('21') }, 'ada')
  await ended
  expect(refused).toEqual([])
  expect(failed).toEqual([])
  expect([...balancer.answers].filter(([answer]) => !answer.startsWith('20'))).toEqual([])
  expect(balancer.answers.get('200 POST /api/telemetry')).toBeGreaterThan(0)
  // Requests to a closed panel would have been counted as refused; here there were none.
  expect(balancer.refused).toBe(0)
  const { budgets, leases } = await fleet.read(organizationId)
  expect(leases).toEqual([])
  expect(budgets[0]).toMatchObject({ escrow_nanos: 0, settled_nanos: calls * COST })
  expect(await fleet.problems()).toEqual([])
})
