/**
 * node scripts/bench/fleet.ts [--runtimes 1000] [--events 5000] [--viewers 100] [--panels 1] [--seconds 20] [--profile
 * <folder for Node's profiles of the panels>]: the load that one Control Panel carries, on a real PostgreSQL that
 * writes to the disk. So many runtimes, each with a lease, wait for orders, report once a second, and send events as a
 * runtime does, while so many dashboards read the fleet once a second; then they only borrow and return, as fast as
 * they can. Runtimes and dashboards are simulated by this process, over HTTP. Needs `npm run build`; the last line is
 * JSON.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { fromUsd, usd } from '../../src/core/money.ts'
import { Fleet } from '../../src/panel/bank/budgets.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import { ORGANIZATION } from '../../src/panel/organization.ts'
import { startCluster } from '../../test/panel/postgres.ts'
import { freePort } from '../../test/support/free-port.ts'

const { values } = parseArgs({
  options: {
    runtimes: { type: 'string', default: '1000' },
    events: { type: 'string', default: '5000' },
    viewers: { type: 'string', default: '100' },
    panels: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '20' },
    profile: { type: 'string' },
  },
})
const [RUNTIMES, EVENTS, VIEWERS, PANELS, SECONDS] = [
  values.runtimes,
  values.events,
  values.viewers,
  values.panels,
  values.seconds,
].map(Number) as [number, number, number, number, number]
/** As a runtime waits for more events, as it reports, and as the page of the panel reads again. */
const EVERY_MS = 1_000
/** Until all connections are open, all states are known, and what came meanwhile is stored. */
const WARM_UP_MS = 20_000
/** Requests for leases under way at once. */
const BORROWERS = 100
/** Of Linux's process table. */
const TICKS_A_SECOND = 100
const root = resolve(import.meta.dirname, '../..')

interface Runtime {
  token: string
  panel: number
  epoch: number
  lease: string
  requests: number
  /** When each event that is not confirmed happened, and the number of the last one that is. */
  unsent: number[]
  acked: number
}

const CALL = {
  ...{
    call_id: 'call-1',
    provider: 'openai',
    model: 'gpt-4o',
    stream: false,
    input_tokens: 900,
    cached_input_tokens: 0,
  },
  ...{ output_tokens: 200, cost_usd: '0.00425', estimated: false, latency_ms: 812, first_byte_ms: null, status: 200 },
  ...{ redactions: 0, baseline_usd: null },
}
const STARTED = {
  ...{ run_id: 'run-1', name: 'lead_gen', script: 'leads.py', environment: 'production', pid: 1, restart: 0 },
  ...{ limit_usd: '50', safety_mode: 'redact', detect: ['email'] },
}

const agent = new Agent({ keepAlive: true })
const panels: { process: ChildProcess; port: number }[] = []
const cluster = await startCluster({ fsync: 'on' })
const figures = { lags: [] as number[], views: [] as number[], reports: [] as number[], failures: 0 }
let isRunning = true
try {
  const address = await cluster.newDatabase()
  const database = await openPanelDatabase(address)
  const fleet = new Fleet(database)
  const organizationId = await fleet.openOrganization(ORGANIZATION)
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: fromUsd(usd('100000')) }, 'ada')
  const viewer = await fleet.credentials.createToken(organizationId, 'viewer', 'bench', 'ada')
  const runtimes = await inTurns(RUNTIMES, async (n): Promise<Runtime> => {
    const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, `m${n}`, 'ada')
    const member = (await fleet.credentials.identify(invitation))!
    const { token } = await fleet.credentials.join(member, `m${n}`, '1.0.0')
    return { token, panel: n % PANELS, epoch: 0, lease: '', requests: 0, unsent: [], acked: 0 }
  })
  await database.close()
  for (let n = 0; n < PANELS; n++) panels.push(await startPanel(address))
  await inTurns(RUNTIMES, (n) => openLease(runtimes[n]!, n))

  const began = performance.now()
  const loops = runtimes.flatMap((runtime, n) => [every(() => report(runtime)), events(runtime, n), control(runtime)])
  for (let n = 0; n < VIEWERS; n++) loops.push(every(() => look(viewer, n % PANELS)))
  await wait(WARM_UP_MS)
  for (const list of [figures.lags, figures.views, figures.reports]) list.length = 0
  const [before, own, busy, postgres] = [processorMs(), process.cpuUsage(), busyMs(), postgresMs()]
  const sessions = watchSessions(address)
  const from = performance.now()
  await wait(SECONDS * 1000)
  const ms = performance.now() - from
  const processor = panels.map((_, n) => Math.round(((processorMs()[n]! - before[n]!) / ms) * 100))
  const { user, system } = process.cpuUsage(own)
  const memory = panels.map(({ process: { pid } }) => Math.round(residentMb(pid!)))
  const loaded = {
    ...{ runtimes: RUNTIMES, panels: PANELS, viewers: VIEWERS },
    events_a_second: Math.round((figures.lags.length / ms) * 1000),
    telemetry_lag_ms: quantiles(figures.lags),
    report_ms: quantiles(figures.reports),
    views_a_second: Math.round((figures.views.length / ms) * 1000),
    view_ms: quantiles(figures.views),
    panel_processor_percent: processor,
    sessions: await sessions.end(),
    postgres_processor_percent: Math.round(((postgresMs() - postgres) / ms) * 100),
    /** Of this process, which plays runtimes and dashboards, and of all processes of the machine. */
    driver_processor_percent: Math.round((user + system) / 10 / ms),
    machine_processor_percent: Math.round(((busyMs() - busy) / ms) * 100),
    panel_memory_mb: memory,
    bytes_an_event: await bytesAnEvent(address),
    failures: figures.failures,
  }
  console.error(`${JSON.stringify(loaded)} after ${Math.round((from - began) / 1000)} s`)
  isRunning = false
  agent.destroy()
  await Promise.all(loops)
  isRunning = true
  console.log(JSON.stringify({ ...loaded, ...(await borrow(runtimes)) }))
} finally {
  isRunning = false
  agent.destroy()
  // A profile is written by a process that ends by itself.
  for (const { process: child } of panels) child.kill(values.profile === undefined ? 'SIGKILL' : 'SIGTERM')
  if (values.profile !== undefined) await Promise.all(panels.map(({ process: child }) => once(child, 'exit')))
  await cluster.remove()
}
process.exit(0)

/** So many at a time as a start of many machines has. */
async function inTurns<T>(count: number, work: (n: number) => Promise<T>): Promise<T[]> {
  const done: T[] = []
  let next = 0
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      for (let n = next++; n < count; n = next++) done[n] = await work(n)
    }),
  )
  return done
}

async function startPanel(database: string): Promise<{ process: ChildProcess; port: number }> {
  const port = await freePort()
  const args = ['panel', '--database', database, '--port', String(port), '--lease-ttl', '600']
  const profile = values.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', values.profile]
  const child = spawn(process.execPath, [...profile, join(root, 'bin/iron-cage.cjs'), ...args], {
    stdio: 'ignore',
  })
  once(child, 'exit').then(([code]) => isRunning && console.error(`a panel ended with ${code}`))
  for (let tries = 0; tries < 200; tries++, await wait(50)) {
    const answered = await send({ port, path: '/health/ready' }).catch(() => undefined)
    if (answered?.status === 200) return { process: child, port }
  }
  throw new Error('the panel did not start')
}

interface Sent {
  port?: number
  panel?: number
  path: string
  token?: string
  body?: object
  /** Only take the answer. (Default: no.) */
  isDrained?: boolean
}

function send<Answer>({
  port,
  panel = 0,
  path,
  token,
  body,
  isDrained,
}: Sent): Promise<{ status: number; answer: Answer }> {
  return new Promise((done, failed) => {
    const text = body && JSON.stringify(body)
    const headers = {
      ...(token && { authorization: `Bearer ${token}` }),
      // As browsers do.
      ...(isDrained && { 'accept-encoding': 'gzip, deflate, br' }),
      ...(text && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
    }
    const method = body ? 'POST' : 'GET'
    const options = { host: '127.0.0.1', port: port ?? panels[panel]!.port, path, method, headers, agent }
    const asked = request(options, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => isDrained || chunks.push(chunk))
      response.on('end', () => {
        const said =
          chunks.length > 0 ? (JSON.parse(Buffer.concat(chunks).toString()) as Answer) : (undefined as Answer)
        done({ status: response.statusCode!, answer: said })
      })
      response.on('error', failed)
    })
    asked.on('error', failed)
    asked.end(text)
  })
}

/** Throws a runtime's failures. */
async function post<Answer>({ token, panel }: Runtime, path: string, body: object): Promise<Answer> {
  const { status, answer } = await send<Answer>({ panel, path, token, body })
  if (status >= 300) throw new Error(`${path}: ${status} ${JSON.stringify(answer)}`)
  return answer
}

function quietly(error: Error): void {
  if (!isRunning) return
  figures.failures += 1
  if (figures.failures <= 3) console.error(error.message)
}

/** Once a second, beginning at any moment of one. */
async function every(work: () => Promise<void>): Promise<void> {
  await wait(Math.random() * EVERY_MS)
  while (isRunning) {
    const next = performance.now() + EVERY_MS
    await work().catch(quietly)
    await wait(Math.max(0, next - performance.now()))
  }
}

async function openLease(runtime: Runtime, n: number): Promise<void> {
  const { epoch } = await post<{ epoch: number }>(runtime, '/api/leases/open', { journal_id: `journal-${n}` })
  runtime.epoch = epoch
  runtime.lease = await lend(runtime)
}

async function lend(runtime: Runtime): Promise<string> {
  const asked = { epoch: runtime.epoch, request: runtime.requests++, least_usd: '0.01', want_usd: '0.01' }
  const { id, outcome } = await post<{ id?: string; outcome: string }>(runtime, '/api/leases/request', asked)
  if (id === undefined) throw new Error(`no lease: ${outcome}`)
  return id
}

function statement(id: string, isFinal: boolean): object {
  return { id, used_usd: '0', returned_usd: isFinal ? '0.01' : '0', held_usd: '0', final: isFinal }
}

async function report(runtime: Runtime): Promise<void> {
  const began = performance.now()
  const statements = [statement(runtime.lease, false)]
  await post(runtime, '/api/leases/report', { epoch: runtime.epoch, statements, budgets_version: 0 })
  figures.reports.push(performance.now() - began)
}

async function control({ token, panel }: Runtime): Promise<void> {
  let known = ''
  await wait(Math.random() * WARM_UP_MS)
  while (isRunning) {
    try {
      const { status, answer } = await send<{ revision: string }>({ panel, path: `/api/control?known=${known}`, token })
      if (status >= 300) throw new Error(`/api/control: ${status}`)
      known = answer.revision
    } catch (error) {
      quietly(error as Error)
      await wait(EVERY_MS)
    }
  }
}

async function look(token: string, panel: number): Promise<void> {
  const began = performance.now()
  for (const path of ['/api/fleet', '/api/fleet/requests']) {
    const { status } = await send({ panel, path, token, isDrained: true })
    if (status >= 300) throw new Error(`${path}: ${status}`)
  }
  figures.views.push(performance.now() - began)
}

/** Events come evenly; those of a second go together, and what came meanwhile at once after them. */
async function events(runtime: Runtime, n: number): Promise<void> {
  const everyMs = (1000 * RUNTIMES) / EVENTS
  let next = performance.now() + Math.random() * everyMs
  const arrive = () => {
    for (; next <= performance.now(); next += everyMs) runtime.unsent.push(next)
  }
  while (isRunning) {
    await wait(Math.max(0, next - performance.now()) + EVERY_MS)
    for (arrive(); runtime.unsent.length > 0 && isRunning; arrive()) {
      const sent = runtime.unsent.slice(0, 500)
      const through = runtime.acked + sent.length
      const batch = sent.map((_, at) => eventOf(runtime.acked + at + 1))
      const body = { journal_id: `journal-${n}`, after: runtime.acked, through, lost: null, events: batch }
      try {
        await post(runtime, '/api/telemetry', body)
        runtime.acked = through
        runtime.unsent.splice(0, sent.length)
        for (const at of sent) figures.lags.push(performance.now() - at)
      } catch (error) {
        quietly(error as Error)
        await wait(EVERY_MS)
      }
    }
  }
}

/** One in five is a call. */
function eventOf(seq: number): object {
  const about = { seq, at: new Date().toISOString(), agent_id: 'lg-7a3f', level: 'INFO' }
  if (seq === 1) return { ...about, type: 'agent.started', message: 'started', data: STARTED }
  if (seq % 5 === 0) return { ...about, type: 'call.completed', message: 'gpt-4o answered', data: CALL }
  const data = { done: seq, total: 10_000, unit: 'leads', label: null }
  return { ...about, type: 'progress.updated', message: `${seq} of 10000 leads`, data }
}

/** Borrows and returns as fast as it goes. */
async function borrow(runtimes: readonly Runtime[]): Promise<{ grants_a_second: number; grant_ms: object }> {
  const times: number[] = []
  const until = performance.now() + 10_000
  await Promise.all(
    Array.from({ length: BORROWERS }, async (_, n) => {
      for (let at = n; performance.now() < until; at += BORROWERS) {
        const runtime = runtimes[at % RUNTIMES]!
        const began = performance.now()
        const id = await lend(runtime)
        times.push(performance.now() - began)
        await post(runtime, '/api/leases/report', { epoch: runtime.epoch, statements: [statement(id, true)] })
      }
    }),
  )
  return { grants_a_second: Math.round(times.length / 10), grant_ms: quantiles(times) }
}

/** The panels' sessions on average: statements, and transactions whose next one the panel has not sent yet. */
function watchSessions(address: string): { end(): Promise<{ busy: number; waiting_for_panel: number }> } {
  const counts = { busy: 0, waiting_for_panel: 0 }
  let looks = 0
  let isWatching = true
  const watch = async () => {
    const client = new pg.Client(address)
    await client.connect()
    for (; isWatching; looks++, await wait(100)) {
      const { rows } = await client.query<{ state: string }>(
        "SELECT state FROM pg_stat_activity WHERE application_name = 'iron-cage panel'",
      )
      counts.busy += rows.filter(({ state }) => state === 'active').length
      counts.waiting_for_panel += rows.filter(({ state }) => state === 'idle in transaction').length
    }
    await client.end()
  }
  const watching = watch()
  return {
    async end() {
      isWatching = false
      await watching
      const mean = (count: number) => Number((count / looks).toFixed(2))
      return { busy: mean(counts.busy), waiting_for_panel: mean(counts.waiting_for_panel) }
    },
  }
}

/** In the database, with its index. */
async function bytesAnEvent(address: string): Promise<number> {
  const client = new pg.Client(address)
  await client.connect()
  await client.query("SET iron_cage.organization = '*'")
  const size = "(SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('events'))"
  const { rows } = await client.query(`SELECT ${size} / count(*) AS bytes FROM events`)
  await client.end()
  return Number(rows[0].bytes)
}

function processorMs(): number[] {
  return panels.map(({ process: { pid } }) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    return ((Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND) * 1000
  })
}

/** Of all processes of PostgreSQL that are there. */
function postgresMs(): number {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return all.reduce((sum, pid) => {
    try {
      const [name, fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ') as [string, string]
      if (!name.endsWith('(postgres')) return sum
      const [user, system] = fields.split(' ').slice(11, 13).map(Number)
      return sum + ((user! + system!) / TICKS_A_SECOND) * 1000
    } catch {
      return sum
    }
  }, 0)
}

/** Of all processors together. */
function busyMs(): number {
  const [user, nice, system] = readFileSync('/proc/stat', 'utf8').split(/\s+/).slice(1).map(Number)
  return ((user! + nice! + system!) / TICKS_A_SECOND) * 1000
}

function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
}

function quantiles(all: number[]): { p50: number; p99: number } {
  const sorted = all.sort((one, other) => one - other)
  const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? -1)
  return { p50: at(0.5), p99: at(0.99) }
}
