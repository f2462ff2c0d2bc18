/**
 * A fleet under faults: panels on one PostgreSQL, machines with ledgers of their own, and a provider that counts.
 * Panels and machines are killed and paused, the network is cut, PostgreSQL crashes, disks are lost, and power, with
 * all unwritten data. At every look the provider's bill must be within the settled and lent amounts, and those within
 * the limit; in the end all books close.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { add, nanodollars, toUsd, type Usd, ZERO_NANOS } from '../../../src/core/money.ts'
import { databaseFiles, walPath } from '../../../src/db/files.ts'
import { openStore } from '../../../src/db/store.ts'
import { escrowOf } from '../../../src/panel/bank/bank.ts'
import { leaseOf } from '../../../src/panel/bank/bank-store.ts'
import { Fleet } from '../../../src/panel/bank/budgets.ts'
import type { PanelDatabase } from '../../../src/panel/db/database.ts'
import { openPanelDatabase } from '../../../src/panel/db/open.ts'
import { ORGANIZATION } from '../../../src/panel/organization.ts'
import { journalIdOf } from '../../../src/uplink/journal.ts'
import { type Membership, writeMembership } from '../../../src/uplink/membership.ts'
import { joinMachine } from '../../../test/panel/machine.ts'
import { type Cluster, startCluster } from '../../../test/panel/postgres.ts'
import { bundleProgram } from '../../../test/support/bundled.ts'
import { freePort } from '../../../test/support/free-port.ts'
import { type Link, openLink } from './link.ts'
import { SOAK_TOKEN } from './token.ts'

export interface FleetOptions {
  seconds: number
  machines: number
  panels: number
  callers: number
  /** Between two faults, in ms. */
  faultIntervalMs: number
  /** Of one kind alone: the leases of a lost disk hide the loss of a commit. (Default: of all kinds.) */
  only?: string | undefined
  /** Called now and then with what happened so far. (Default: nobody is told.) */
  onProgress?: (text: string) => void
}

export interface FleetResult {
  /** Sentences; none if all went well. */
  violations: string[]
  faults: Record<string, number>
  /** Of machines, panels and PostgreSQL together. */
  kills: number
  looks: number
  calls: number
  refused: Record<string, number>
  provider_usd: Usd
  settled_usd: Usd
  limit_usd: Usd
  resolved: number
}

/** A raise in the middle: the last dollars come again and again. */
const STEP_NANOS = nanodollars(5_000_000_000)
const TTL_S = 3
const LOOK_INTERVAL_MS = 200
const LOOKS_PER_LINE = 50
/** How often nearly nothing may be free before a person acts. */
const LOOKS_AT_LAST_CENTS = 10
/** How long each may take to start, stop, or answer again. */
const PATIENCE_MS = 60_000
const TOKEN_BUDGET = { scope: 'token', name: SOAK_TOKEN } as const
const PERIODS = ['day', 'month', null] as const
const KILLS: ReadonlySet<string> = new Set([
  'machine killed',
  'disk lost',
  'power lost',
  'panel killed',
  'PostgreSQL crashed',
])
const root = resolve(import.meta.dirname, '../../..')

interface Machine {
  name: string
  database: string
  link: Link
  membership: Membership
  process: ChildProcess | undefined
  /** It calls, and ends on SIGTERM. */
  isReady: boolean
  isBusy: boolean
  /** How often its system was started. */
  boots: number
  /** The size of its write-ahead log when that was on the disk, or more. */
  syncedBytes: number
}

interface Panel {
  port: number
  process: ChildProcess | undefined
}

export async function runFleet(options: FleetOptions): Promise<FleetResult> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-fleet-'))
  const cluster = await startCluster()
  try {
    return await new FleetRun(options, folder, cluster).run()
  } finally {
    await cluster.remove()
    rmSync(folder, { recursive: true, force: true })
  }
}

class FleetRun {
  readonly #options: FleetOptions
  readonly #folder: string
  readonly #cluster: Cluster
  readonly #provider: ProviderFile
  readonly #program: string
  readonly #panels: Panel[] = []
  readonly #machines: Machine[] = []
  readonly #result: FleetResult
  #address = ''
  #fleet!: Fleet
  #database!: PanelDatabase
  #organizationId = ''
  #allowedHosts = ''
  #isOver = false
  #periods = 0
  #nextLine = 0
  #isCrashed = false

  constructor(options: FleetOptions, folder: string, cluster: Cluster) {
    this.#options = options
    this.#folder = folder
    this.#cluster = cluster
    this.#program = join(folder, 'machine.mjs')
    this.#provider = new ProviderFile(join(folder, 'provider'))
    this.#result = {
      violations: [],
      faults: {},
      kills: 0,
      looks: 0,
      calls: 0,
      refused: {},
      provider_usd: toUsd(ZERO_NANOS),
      settled_usd: toUsd(ZERO_NANOS),
      limit_usd: toUsd(ZERO_NANOS),
      resolved: 0,
    }
  }

  async run(): Promise<FleetResult> {
    await bundleProgram(join(import.meta.dirname, 'machine.ts'), this.#program)
    this.#address = await this.#cluster.newDatabase()
    const database = await openPanelDatabase(this.#address)
    try {
      this.#database = database
      this.#fleet = new Fleet(database)
      this.#organizationId = await this.#fleet.openOrganization(ORGANIZATION)
      await this.#raise()
      await this.#startAll()
      // Faults before the first call would prove nothing.
      for (let waited = 0; this.#provider.total() === 0 && waited < PATIENCE_MS; waited += 50) await wait(50)
      const until = Date.now() + this.#options.seconds * 1000
      await Promise.all([this.#lookUntil(until), this.#faultsUntil(until)])
      await this.#end()
      return this.#result
    } finally {
      this.#isOver = true
      for (const { process } of [...this.#panels, ...this.#machines]) process?.kill('SIGKILL')
      for (const { link } of this.#machines) link.close()
      await database.close()
    }
  }

  async #startAll(): Promise<void> {
    const { panels, machines } = this.#options
    for (let n = 0; n < panels; n++) this.#panels.push({ port: await freePort(), process: undefined })
    const ports = this.#panels.map(({ port }) => port)
    const links = await Promise.all(Array.from({ length: machines }, () => openLink(ports)))
    this.#allowedHosts = links.map(({ url }) => new URL(url).host).join()
    await Promise.all(this.#panels.map((panel) => this.#startPanel(panel)))
    for (const [n, link] of links.entries()) {
      const database = join(this.#folder, `machine-${n}.db`)
      const invitation = await this.#fleet.credentials.invite(
        this.#organizationId,
        { team: null, user: null },
        `m${n}`,
        'ada',
      )
      const membership = await joinMachine(database, link.url, invitation)
      const machine = {
        name: `m${n}`,
        database,
        link,
        membership,
        process: undefined,
        isReady: false,
        isBusy: false,
        boots: 1,
        syncedBytes: 0,
      }
      this.#machines.push(machine)
      this.#startMachine(machine)
    }
  }

  async #startPanel(panel: Panel): Promise<void> {
    const args = [
      'panel',
      '--database',
      this.#address,
      '--port',
      String(panel.port),
      '--lease-ttl',
      String(TTL_S),
      '--allowed-hosts',
      this.#allowedHosts,
    ]
    const process_ = spawn(process.execPath, [join(root, 'bin/iron-cage.cjs'), ...args], { stdio: 'ignore' })
    panel.process = process_
    process_.once('exit', () => {
      // One that found no database tries again, as a service manager would have it.
      if (!this.#isOver && panel.process === process_) setTimeout(() => void this.#startPanel(panel), 300)
    })
    for (let waited = 0; waited < PATIENCE_MS && panel.process === process_; waited += 50) {
      const isReady = await fetch(`http://127.0.0.1:${panel.port}/health/ready`).then(
        ({ ok }) => ok,
        () => false,
      )
      if (isReady) return
      await wait(50)
    }
  }

  #startMachine(machine: Machine): void {
    const { database, name, boots } = machine
    const args = [this.#program, database, this.#provider.path, name, String(this.#options.callers), `boot ${boots}`]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    machine.process = child
    machine.isReady = false
    createInterface(child.stdout!).on('line', (line) => {
      if (!machine.isReady) machine.syncedBytes = statSync(walPath(database)).size
      machine.isReady = true
      this.#count(line)
    })
    child.once('exit', (code, signal) => {
      if (code !== 0 && signal !== 'SIGKILL')
        this.#result.violations.push(`${machine.name} ended with ${code ?? signal}`)
      machine.process = undefined
    })
  }

  #count(line: string): void {
    const { refused = {} } = JSON.parse(line) as { refused?: Record<string, number> }
    for (const [code, count] of Object.entries(refused))
      this.#result.refused[code] = (this.#result.refused[code] ?? 0) + count
  }

  async #lookUntil(until: number): Promise<void> {
    for (let full = 0; Date.now() < until; await wait(LOOK_INTERVAL_MS)) {
      const left = await this.#look()
      // A while of the last cents, then there is more.
      full = left !== undefined && left < STEP_NANOS / 100 ? full + 1 : 0
      this.#progress(until)
      if (full < LOOKS_AT_LAST_CENTS) continue
      full = 0
      await this.#resolveOnce().catch(() => undefined)
      await this.#raise().catch(() => undefined)
    }
  }

  #progress(until: number): void {
    const { looks, kills, violations } = this.#result
    if (looks < this.#nextLine) return
    this.#nextLine = looks + LOOKS_PER_LINE
    const left = Math.max(0, Math.round((until - Date.now()) / 1000))
    const calls = `${this.#provider.calls} calls`
    this.#options.onProgress?.(
      `${left} s left: ${calls}, ${kills} kills, ${looks} looks, ${violations.length} violations`,
    )
  }

  /** Returns the free amount; undefined while the database is down. */
  async #look(): Promise<number | undefined> {
    // First: calls sent by now are lent or settled later too.
    const sent = { organization: this.#provider.total(), token: this.#provider.ofToken }
    const accounts = await this.#accounts().catch(() => undefined)
    if (!accounts) return undefined
    this.#result.looks += 1
    const { violations } = this.#result
    for (const { scope, limit, used } of accounts) {
      if (used > limit) violations.push(`settled and lent of the ${scope} are ${used} of ${limit}`)
    }
    for (const [scope, cost] of Object.entries(sent)) {
      const used = accounts.reduce((sum, account) => sum + (account.scope === scope ? account.used : 0), 0)
      if (cost > used) violations.push(`the provider was sent ${cost} of the ${scope}, settled and lent are ${used}`)
    }
    const { limit, used } = accounts.find(({ scope }) => scope === 'organization')!
    return limit - used
  }

  /** What counts in each account of each budget, at one moment. `used`: settled and lent. */
  #accounts(): Promise<{ scope: string; limit: number; used: number }[]> {
    return this.#database.system.rows(
      `SELECT scope, limit_nanos AS limit, settled_nanos + escrow_nanos AS used FROM budgets
       UNION ALL
       SELECT b.scope, b.limit_nanos, p.settled_nanos + p.escrow_nanos FROM budget_periods p JOIN budgets b ON b.id = p.budget_id`,
    )
  }

  async #raise(): Promise<void> {
    const whole = { scope: 'organization', name: null } as const
    await this.#fleet.setLimit(this.#organizationId, whole, { add: STEP_NANOS }, 'ada')
    await this.#fleet.setLimit(this.#organizationId, TOKEN_BUDGET, { add: nanodollars(STEP_NANOS / 4) }, 'ada')
  }

  /** A new period begins, as far as the books can know: leases of the one before are still open. */
  async #turnPeriod(): Promise<boolean> {
    const period = PERIODS[this.#periods++ % PERIODS.length]!
    return this.#fleet.setLimit(this.#organizationId, TOKEN_BUDGET, { add: ZERO_NANOS, period }, 'ada').then(
      () => true,
      () => false,
    )
  }

  async #faultsUntil(until: number): Promise<void> {
    while (Date.now() < until) {
      await wait(this.#options.faultIntervalMs)
      const [name, fault] = pick(this.#faults().filter(([, kind]) => kind === (this.#options.only ?? kind)))
      if (!(await fault())) continue
      this.#result.faults[name] = (this.#result.faults[name] ?? 0) + 1
      if (KILLS.has(name)) this.#result.kills += 1
    }
  }

  /** Each by how often it comes. */
  #faults(): readonly [number, string, () => Promise<boolean>][] {
    const machine = this.#machines[Math.floor(Math.random() * this.#machines.length)]!
    const panel = this.#panels[Math.floor(Math.random() * this.#panels.length)]!
    return [
      [45, 'machine killed', () => this.#killMachine(machine)],
      [6, 'disk lost', () => this.#killMachine(machine, () => this.#loseDisk(machine))],
      [8, 'power lost', async () => machine.isReady && this.#killMachine(machine, () => this.#losePower(machine))],
      [28, 'panel killed', () => this.#killPanel(panel)],
      [6, 'PostgreSQL crashed', () => this.#crashDatabase()],
      [10, 'period turned', () => this.#turnPeriod()],
      [
        7,
        'machine paused',
        () =>
          this.#during(
            machine,
            () => machine.process?.kill('SIGSTOP'),
            () => machine.process?.kill('SIGCONT'),
          ),
      ],
      [
        8,
        'network cut',
        () =>
          this.#during(
            machine,
            () => machine.link.cut(),
            () => machine.link.mend(),
          ),
      ],
    ]
  }

  async #killMachine(machine: Machine, meanwhile?: () => void): Promise<boolean> {
    const child = machine.process
    if (!child || machine.isBusy) return false
    const gone = new Promise((done) => child.once('exit', done))
    child.kill('SIGKILL')
    await gone
    meanwhile?.()
    this.#startMachine(machine)
    return true
  }

  /** The machine comes back with its membership, but with another ledger. */
  #loseDisk({ database, membership }: Machine): void {
    for (const file of databaseFiles(database)) rmSync(file, { force: true })
    const store = openStore({ path: database })
    journalIdOf(store)
    writeMembership(store, membership)
    store.close()
  }

  /** The system has written the log up to somewhere after the last commit that had to be on the disk. */
  #losePower(machine: Machine): void {
    const { database, syncedBytes } = machine
    const unwritten = statSync(walPath(database)).size - syncedBytes
    if (unwritten > 0) truncateSync(walPath(database), syncedBytes + Math.floor(Math.random() * (unwritten + 1)))
    rmSync(`${database}-shm`, { force: true })
    machine.boots += 1
  }

  async #killPanel(panel: Panel): Promise<boolean> {
    return panel.process?.kill('SIGKILL') ?? false
  }

  async #crashDatabase(): Promise<boolean> {
    if (this.#isCrashed) return false
    this.#isCrashed = true
    await this.#cluster.crash()
    await wait(300)
    await this.#cluster.start()
    this.#isCrashed = false
    return true
  }

  /** For longer than a lease lasts, half of the times. */
  async #during(machine: Machine, begin: () => void, end: () => void): Promise<boolean> {
    if (machine.isBusy || !machine.process) return false
    machine.isBusy = true
    begin()
    setTimeout(
      () => {
        end()
        machine.isBusy = false
      },
      TTL_S * 2_000 * Math.random(),
    )
    return true
  }

  /** All machines report, a person resolves the rest, and the books must close. */
  async #end(): Promise<void> {
    for (const { process: child, link } of this.#machines) {
      link.mend()
      child?.kill('SIGCONT')
    }
    const untilAll = async (is: (machine: Machine) => boolean) => {
      for (let waited = 0; !this.#machines.every(is) && waited < PATIENCE_MS; waited += 50) await wait(50)
    }
    await untilAll(({ isReady }) => isReady)
    await wait(1_500)
    for (const { process: child } of this.#machines) child?.kill('SIGTERM')
    await untilAll(({ process: child }) => child === undefined)
    const silent = this.#machines.filter(({ process: child }) => child)
    if (silent.length > 0) this.#result.violations.push(`${silent.map(({ name }) => name).join()} did not stop`)
    await this.#resolveAll()
    await this.#look()
    const { budgets, leases } = await this.#fleet.read(this.#organizationId)
    const { limit_nanos: limit, settled_nanos: settled, escrow_nanos: escrow } = budgets[0]!
    if (escrow !== 0 || leases.length > 0)
      this.#result.violations.push(`${escrow} are still lent, in ${leases.length} leases`)
    this.#result.violations.push(...(await this.#fleet.problems()))
    const sent = nanodollars(this.#provider.total())
    Object.assign(this.#result, {
      calls: this.#provider.calls,
      provider_usd: toUsd(sent),
      settled_usd: toUsd(settled),
      limit_usd: toUsd(limit),
    })
  }

  async #resolveAll(): Promise<void> {
    for (let waited = 0; waited < PATIENCE_MS; waited += 200) {
      if ((await this.#resolveOnce()) === 0) return
      await wait(200)
    }
  }

  /** Returns how many leases were open. */
  async #resolveOnce(): Promise<number> {
    await this.#fleet.expire()
    const { leases } = await this.#fleet.read(this.#organizationId)
    for (const lease of leases.map(leaseOf).filter(({ state }) => state !== 'active')) {
      // Nobody knows: all of it counts as spent.
      const spent = add(lease.used, escrowOf(lease))
      await this.#fleet.resolve(this.#organizationId, lease.id, spent, { by: 'ada', reason: 'its ledger is gone' })
      this.#result.resolved += 1
    }
    return leases.length
  }
}

/** The provider's calls: one line each, written before anything else happens to the call. */
class ProviderFile {
  readonly path: string
  #read = 0
  #total = 0
  calls = 0
  /** Of it, by callers with the token, when `total` was read. */
  ofToken = 0
  #rest = ''

  constructor(path: string) {
    this.path = path
    writeFileSync(path, '')
  }

  /** In nanodollars. */
  total(): number {
    const { size } = statSync(this.path)
    const chunk = Buffer.alloc(size - this.#read)
    const file = openSync(this.path, 'r')
    readSync(file, chunk, 0, chunk.length, this.#read)
    closeSync(file)
    this.#read = size
    const lines = (this.#rest + chunk.toString()).split('\n')
    this.#rest = lines.pop()!
    for (const line of lines) {
      const [who, cost] = line.split(' ')
      this.#total += Number(cost)
      if (who === SOAK_TOKEN) this.ofToken += Number(cost)
    }
    this.calls += lines.length
    return this.#total
  }
}

function pick(faults: readonly [number, string, () => Promise<boolean>][]): [string, () => Promise<boolean>] {
  let at = Math.random() * faults.reduce((sum, [weight]) => sum + weight, 0)
  for (const [weight, name, fault] of faults) {
    at -= weight
    if (at < 0) return [name, fault]
  }
  throw new Error('there is no fault of this kind')
}
