/**
 * The system's table of processes: /proc on Linux, `ps` elsewhere. A process is identified by its pid and start time,
 * because pids are reused.
 */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { bootId } from './boot-id.ts'
import type { AgentId } from './ids.ts'

export interface ProcessRow {
  pid: number
  /** Its parent; 1 (or a subreaper) once the parent has died. */
  ppid: number
  /** Its group. */
  pgid: number
  /** When it started, as reported by the system; unique together with the pid. */
  started: string
}

const isLinux = process.platform === 'linux'
/** How many processes are read before yielding to the event loop. */
const READ_AT_ONCE = 64

/** Every living process. A zombie is not one. */
export const readProcessTable = (source: 'proc' | 'ps' = isLinux ? 'proc' : 'ps'): Promise<ProcessRow[]> =>
  patiently(() => (source === 'proc' ? readProc() : readPs(['-A'])))

/** The start time of a process, or undefined when there is none with this pid. */
export async function processStarted(pid: number): Promise<string | undefined> {
  const row = await patiently(async () => (isLinux ? readStat(pid) : (await readPs(['-p', String(pid)]))[0]))
  return row?.started
}

/** Far above any practical limit, and different for each agent. */
const FIRST_LOCK_LIMIT = 0x1ca6e_0000_0000

/**
 * The limit of file locks that an agent is started with. It has no effect: Linux has not counted locks since 2.6. But
 * every process inherits it, with any session, parent or environment, and it is readable from outside.
 */
export const lockLimitOf = (agentId: AgentId): number => FIRST_LOCK_LIMIT + Number.parseInt(agentId.slice(-8), 16)

/**
 * The processes that descend from this agent's first one, even with another session, another parent, or an environment
 * without its id. Linux only; elsewhere there are none.
 */
export const findByAgentId = (agentId: AgentId): Promise<Set<number>> => patiently(() => findMarked(agentId))

async function findMarked(agentId: AgentId): Promise<Set<number>> {
  const found = new Set<number>()
  if (!isLinux) return found
  const mark = `\0IRON_CAGE_AGENT_ID=${agentId}\0`
  const own = lockLimitOf(agentId)
  for await (const pid of pids()) {
    const environment = readProcFile(pid, 'environ')
    if (environment === undefined) continue
    const limit = LOCK_LIMIT.exec(readProcFile(pid, 'limits') ?? '')?.[1]
    // An environment is the one at a process's start: that of another agent proves nothing.
    if (Number(limit) === own || (`\0${environment}`.includes(mark) && !isMark(Number(limit)))) found.add(pid)
  }
  return found
}

/** The hard limit: a process may change the soft one. */
const LOCK_LIMIT = /^Max file locks +\S+ +(\d+) /m

const isMark = (limit: number): boolean => limit >= FIRST_LOCK_LIMIT && limit < FIRST_LOCK_LIMIT + 2 ** 32

/** Identifies an agent's processes. */
export interface ProcessTreeFacts {
  agentId: AgentId
  /** The first process's pid, which is also the group's id; undefined when it may belong to another process by now. */
  group: number | undefined
  /** Start time of the first process. */
  started: string | undefined
}

/**
 * The processes of one agent: its group, its descendants, and (on Linux) those with its id in their environment.
 * `seen`: pid → start time of known members, even if their parents have ended. (Default: none.) `others`: other agents,
 * below whose processes, or in whose groups, is none of this one's. (Default: none.)
 */
export async function readProcessTree(
  { agentId, group, started }: ProcessTreeFacts,
  seen: ReadonlyMap<number, string> = new Map(),
  others: readonly ProcessTreeFacts[] = [],
): Promise<ProcessRow[]> {
  const marked = await findByAgentId(agentId)
  const table = await readProcessTable()
  const first = table.find(({ pid }) => pid === group)
  // The pid may belong to a later process, and the group with it.
  const isOurs = (row: ProcessRow) => row.pgid === group && (!first || first.started === started)
  const members = new Map<number, ProcessRow>()
  for (const row of table) {
    if (isOurs(row) || marked.has(row.pid) || seen.get(row.pid) === row.started) members.set(row.pid, row)
  }
  addDescendants(members, table)
  members.delete(process.pid)
  const all = [...members.values()]
  return others.length === 0 ? all : withoutThose(all, table, { agentId, group, started }, others)
}

/**
 * Without the processes of other agents: the nearest first process above one decides whose it is, else its group does.
 */
function withoutThose(
  rows: readonly ProcessRow[],
  table: readonly ProcessRow[],
  own: ProcessTreeFacts,
  others: readonly ProcessTreeFacts[],
): ProcessRow[] {
  const byPid = new Map(table.map((row) => [row.pid, row]))
  const living = [...others, own].filter(({ group, started }) => byPid.get(group ?? 0)?.started === started)
  const owners = new Map(
    living.flatMap(({ agentId, group }) => [group!, rootOf(group!, byPid)].map((pid) => [pid, agentId] as const)),
  )
  const ownerOf = (row: ProcessRow | undefined): AgentId | undefined =>
    row && (owners.get(row.pid) ?? ownerOf(row.ppid === row.pid ? undefined : byPid.get(row.ppid)))
  const ofGroup = new Map(living.map(({ agentId, group }) => [group, agentId]))
  return rows.filter((row) => (ownerOf(row) ?? ofGroup.get(row.pgid) ?? own.agentId) === own.agentId)
}

/** The process below this one from which a first process descends: its sandbox, which takes care of orphans. */
function rootOf(first: number, byPid: ReadonlyMap<number, ProcessRow>): number {
  for (let row = byPid.get(first); row; row = byPid.get(row.ppid)) if (row.ppid === process.pid) return row.pid
  return first
}

function addDescendants(members: Map<number, ProcessRow>, table: readonly ProcessRow[]): void {
  for (let before = -1; before !== members.size; ) {
    before = members.size
    for (const row of table) if (members.has(row.ppid)) members.set(row.pid, row)
  }
}

/**
 * Filters sockets, identified by inode, to those that a process has open. Undefined when the system denies it; Linux
 * only. The latest descriptors first, so that a new connection is found immediately.
 */
export async function socketsOf(pid: number, inodes: ReadonlySet<string>): Promise<Set<string> | undefined> {
  const found = new Set<string>()
  let descriptors: string[]
  try {
    descriptors = readdirSync(`/proc/${pid}/fd`)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (['EACCES', 'EPERM'].includes(code)) return undefined
    if (['ENOENT', 'ESRCH'].includes(code)) return found
    throw error
  }
  for (const [index, descriptor] of descriptors.reverse().entries()) {
    if (index % DESCRIPTORS_AT_ONCE === DESCRIPTORS_AT_ONCE - 1) await setImmediate()
    const inode = /^socket:\[(\d+)\]$/.exec(readDescriptor(pid, descriptor))?.[1]
    if (inode !== undefined && inodes.has(inode)) found.add(inode)
    if (found.size === inodes.size) break
  }
  return found
}

/** How many descriptors are read before yielding to the event loop. */
const DESCRIPTORS_AT_ONCE = 512

/** The target of the link; empty when it is closed by now. */
function readDescriptor(pid: number, descriptor: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${descriptor}`)
  } catch {
    return ''
  }
}

/**
 * Whether the process handles this signal itself. Linux only; elsewhere true. False when it cannot be checked, because
 * the signal kills a process that does not handle it.
 */
export function catchesSignal(pid: number, signal: NodeJS.Signals): boolean {
  if (!isLinux) return true
  try {
    const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readProcFile(pid, 'status') ?? '')?.[1] ?? '0'
    return ((BigInt(`0x${caught}`) >> BigInt(constants.signals[signal] - 1)) & 1n) === 1n
  } catch {
    return false
  }
}

/**
 * The ancestors of this process that were started with a variable: every process of this user can read it there. Linux
 * only; elsewhere there are none.
 */
export function ancestorsWith(variable: string): number[] {
  const found: number[] = []
  let row = isLinux ? readStat(process.ppid) : undefined
  while (row && row.pid > 0) {
    if (`\0${readProcFile(row.pid, 'environ') ?? ''}`.includes(`\0${variable}=`)) found.push(row.pid)
    row = readStat(row.ppid)
  }
  return found
}

async function readProc(): Promise<ProcessRow[]> {
  const rows: ProcessRow[] = []
  for await (const pid of pids()) {
    const row = readStat(pid)
    if (row) rows.push(row)
  }
  return rows
}

async function* pids(): AsyncGenerator<number> {
  const names = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  for (const [index, name] of names.entries()) {
    if (index % READ_AT_ONCE === READ_AT_ONCE - 1) await setImmediate()
    yield Number(name)
  }
}

/** `pid (name) state ppid pgid … starttime …`, see proc(5). The name may contain spaces and brackets. */
function readStat(pid: number): ProcessRow | undefined {
  const stat = readProcFile(pid, 'stat')
  if (stat === undefined) return undefined
  const [state, ppid, pgid, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (state === 'Z' || state === 'X') return undefined
  // The 22nd field of the line; it counts from the system's start, which the boot id identifies.
  return { pid, ppid: Number(ppid), pgid: Number(pgid), started: `${bootId()}:${rest[16]}` }
}

/** Undefined when the process has ended, or belongs to another user. */
function readProcFile(pid: number, name: 'stat' | 'status' | 'environ' | 'limits'): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1')
  } catch (error) {
    if (isShortage(error)) throw error
    return undefined
  }
}

/** A process without free descriptors can read no entry, which does not mean that there is none: it retries. */
async function patiently<T>(read: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await read()
    } catch (error) {
      if (!isShortage(error)) throw error
      await setTimeout(RETRY_MS)
    }
  }
}

const SHORTAGES = new Set(['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM'])
const RETRY_MS = 100

const isShortage = (error: unknown): boolean => SHORTAGES.has(String((error as NodeJS.ErrnoException).code))

async function readPs(which: string[]): Promise<ProcessRow[]> {
  const columns = ['-o', 'pid=,ppid=,pgid=,state=,lstart=']
  // The format of times must not depend on the user's locale.
  const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
  const { stdout } = await promisify(execFile)('ps', [...which, ...columns], { env }).catch((error) => {
    if (isShortage(error)) throw error
    // It exits with 1 when no process matches.
    return { stdout: '' }
  })
  return stdout.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line)
    if (!match || match[4]!.startsWith('Z')) return []
    return [{ pid: Number(match[1]), ppid: Number(match[2]), pgid: Number(match[3]), started: match[5]! }]
  })
}
