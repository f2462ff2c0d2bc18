/**
 * `node scripts/soak/demos.ts [runs] [viewers]`: the rehearsed demo so many times (ten), with so many dashboards open
 * on each (a hundred), as a presenter would have them: on the built program, at full speed. Two rows of shows side by
 * side, each in a separate folder: one show leaves a core free.
 *
 * The conditions of a run: every checkpoint, an exit code of 0, each viewer with each lead from its first on, and
 * afterwards no process, no port and no file but the database with its keys and the log.
 *
 * Runs of a row share one database, as the shows of a day do. A show resets what its story begins with (the agent's checkpoint, the
 * circuits, the cached profiles) and forgets no history: afterwards the ledger holds every run of the row, each to the
 * cent.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import { WebSocket } from 'ws'
import { THE_SHOW } from '../../demo/check.ts'
import type { RuntimeEvent } from '../../src/core/events.ts'
import type { Snapshot } from '../../src/state/snapshot.ts'

const program = resolve(import.meta.dirname, '../../bin/iron-cage.cjs')
const START_WITHIN_MS = 120_000
const END_WITHIN_MS = 300_000
/** In the environment of everything that descends from a run. */
const MARK = 'IRON_CAGE_DEMO_RUN'
const LEADS = 100
const CHECKPOINTS = THE_SHOW.length
const RUN_NANOS = 45_902_500_000
/**
 * The database with its keys, the log, and what Node has compiled, which later starts read; nothing that belongs to a server that
 * runs, and nothing else that is temporary.
 */
const KEPT =
  /^(iron_demo\.db(\.(audit-head|audit-key|data-key|demo-key|lock))?|iron_logs(\/iron-cage-[\d-]+\.log)?|node-compile-cache(\/.+)?)$/

const [runs = 10, viewers = 100] = process.argv.slice(2).map(Number)
const startedAt = performance.now()
const half = Math.ceil(runs / 2)
const failed = (await Promise.all([playRow(half), playRow(runs - half)])).reduce((sum, one) => sum + one, 0)
const seconds = Math.round((performance.now() - startedAt) / 1000)
console.log(`demo: ${runs - failed} passed, ${failed} failed, in ${seconds} s`)
process.exitCode = failed === 0 ? 0 : 1

/** Shows one after the other in a new folder. Resolves with how many failed. */
async function playRow(shows: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-demos-'))
  let failed = 0
  for (let show = 1; show <= shows; show++) {
    const { seconds, watchedFrom, wrong } = await playDemo(folder, viewers, show)
    if (wrong.length > 0) failed++
    console.log(
      `${wrong.length === 0 ? '✔' : '✖'} show ${show} of ${shows}: ${seconds.toFixed(1)} s, ${viewers} viewers from lead ${watchedFrom} on`,
    )
    for (const line of wrong) console.log(`    ${line}`)
  }
  rmSync(folder, { recursive: true, force: true })
  return failed
}

interface Played {
  seconds: number
  /** Leads that were done when the last viewer was there. */
  watchedFrom: number
  /** The unmet conditions; empty when all are met. */
  wrong: string[]
}

interface Server {
  url: string
  pid: number
  token: string
}

async function playDemo(folder: string, viewers: number, run: number): Promise<Played> {
  const startedAt = performance.now()
  const played: Played = { seconds: 0, watchedFrom: 0, wrong: [] }
  const demo = spawn(process.execPath, [program, 'demo', '--check', '--port', '0'], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, TMPDIR: folder, [MARK]: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: END_WITHIN_MS,
    killSignal: 'SIGKILL',
  })
  const [out, err] = [text(demo.stdout), text(demo.stderr)]
  const closed = once(demo, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  try {
    const since = new Date().toISOString()
    const server = await serverOf(join(folder, 'iron_demo.db.server'), demo)
    const opened = await Promise.all(Array.from({ length: viewers }, () => openViewer(server, since)))
    played.watchedFrom = Math.max(0, ...opened.flatMap(({ leads }) => [...leads]))
    const [code, signal] = await closed
    await Promise.all(opened.map(({ ended }) => ended))
    if (code !== 0) played.wrong.push(`ended with ${code ?? signal}: ${(await err).trim().split('\n').at(-1) ?? ''}`)
    played.wrong.push(...checkpointFaults(await out))
    const blind = opened.filter(({ leads }) => leads.size !== LEADS + 1 - Math.min(...leads) || !leads.has(LEADS))
    if (blind.length > 0) played.wrong.push(`${blind.length} viewers missed leads`)
    if (await isOpen(Number(new URL(server.url).port))) played.wrong.push('the port is still open')
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => !KEPT.test(name))
    if (files.length > 0) played.wrong.push(`left over: ${files.join(', ')}`)
    // After the look at the files: a reader of a database leaves only its two side files behind.
    played.wrong.push(...ledgerFaults(folder, run))
  } catch (error) {
    played.wrong.push((error as Error).message)
  } finally {
    demo.kill('SIGKILL')
    await closed
  }
  const processes = processesMarked(folder)
  if (processes.length > 0) played.wrong.push(`still running: ${processes.join(', ')}`)
  return { ...played, seconds: (performance.now() - startedAt) / 1000 }
}

/** The rehearsal reports its own problems. */
function checkpointFaults(out: string): string[] {
  const printed = out.split('\n').filter((line) => /^[✔✖]/.test(line))
  const wrong = printed.filter((line) => line.startsWith('✖'))
  return printed.length === CHECKPOINTS
    ? wrong
    : [...wrong, `${printed.length} of ${CHECKPOINTS} checkpoints were printed`]
}

async function serverOf(file: string, demo: ChildProcess): Promise<Server> {
  const until = performance.now() + START_WITHIN_MS
  while (performance.now() < until && demo.exitCode === null) {
    const server = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8') || '{}') as Partial<Server>) : {}
    // A file of the run before names a process that is gone.
    if (server.url && server.pid === demo.pid) return server as Server
    await sleep(10)
  }
  throw new Error('the demo did not start')
}

interface Frame {
  events?: RuntimeEvent[]
  data?: Snapshot
}

interface Viewer {
  /** How many leads were done, each time it was reported: 0 to 100. */
  leads: Set<number>
  /** Resolves when the server has closed the connection. */
  ended: Promise<unknown>
}

/** As the dashboard does it: a ticket, a connection, a snapshot, then every event. `since`: ISO time the run began. */
async function openViewer({ url, token }: Server, since: string): Promise<Viewer> {
  const answer = await fetch(`${url}/api/auth/ws-ticket`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  })
  const { ticket } = (await answer.json()) as { ticket: string }
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws?ticket=${ticket}`)
  const leads = new Set<number>()
  socket.on('message', (frame: Buffer) => {
    const { events = [], data } = JSON.parse(frame.toString()) as Frame
    for (const event of data?.recent ?? events) {
      if (event.type === 'progress.updated' && event.at >= since) leads.add(event.data.done)
    }
  })
  const ended = once(socket, 'close')
  // The snapshot.
  await once(socket, 'message')
  return { leads, ended }
}

/** All runs so far are in the ledger, the last one to the cent, and no money is held. */
function ledgerFaults(folder: string, runs: number): string[] {
  const database = new Sqlite(join(folder, 'iron_demo.db'), { readonly: true })
  try {
    const spent = database
      .prepare<[], number>(
        "SELECT sum(cost_nanos) FROM calls WHERE state = 'charged' GROUP BY agent_id ORDER BY min(started_at)",
      )
      .pluck()
      .all()
    const open = database
      .prepare<[], number>("SELECT count(*) FROM ledger WHERE state IN ('held', 'unresolved')")
      .pluck()
      .get()!
    return [
      ...(spent.length === runs ? [] : [`the ledger has ${spent.length} runs`]),
      ...(spent.at(-1) === RUN_NANOS ? [] : [`the ledger has $${(spent.at(-1) ?? 0) / 1e9}`]),
      ...(open === 0 ? [] : [`${open} calls hold money`]),
    ]
  } finally {
    database.close()
  }
}

/** Ids of processes that descend from a run in this folder (Linux; elsewhere none is found). */
function processesMarked(folder: string): number[] {
  if (!existsSync('/proc/self/environ')) return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`${MARK}=${folder}`)
      } catch {
        return false // ended meanwhile, or somebody else's
      }
    })
    .map(Number)
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => done(true)).once('error', () => done(false))
    socket.once('connect', () => socket.destroy())
  })
}
