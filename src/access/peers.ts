/**
 * Finds the process at the other end of a connection, to check that a run's token is used by that run.
 *
 * The rules are:
 * - A run's processes are its process group, all descendants, and every process with its agent's marks: pool workers
 *   and daemons that left session and environment included. A descendant of another live run, or a process with its
 *   mark or group, is foreign, even if its environment claims otherwise.
 * - One lookup per connection and run, cached with the connection, so that a call on a kept-alive connection costs a map
 *   access. Lookups are batched: those that arrive during a read of the system's tables share the next one.
 * - Only Linux allows this, and only for processes of our own user. Other users' processes are foreign, except root's,
 *   which could read the token anyway. Callers on other machines, or in containers with a separate network, are in no
 *   table: they are `unknown`, as is everybody where the self-test failed.
 * - Where lookups work, a caller that is not found is foreign: it has hung up already, or the system failed.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { Batch } from '../core/batch.ts'
import type { Clock } from '../core/clock.ts'
import type { AgentId } from '../core/ids.ts'
import { type ProcessTreeFacts, processStarted, readProcessTree, socketsOf } from '../core/process-table.ts'
import { type Connection, findSockets, type PeerSocket, withoutMapping } from './socket-table.ts'

export type { Connection }

/** A run's first process. */
export interface RunProcess {
  agentId: AgentId
  pid: number
  /** Start time as the system reports it; undefined when the process died at once. */
  started: string | undefined
}

export type Peer = 'own' | 'foreign' | 'unknown'

interface Look {
  connection: Connection
  process: RunProcess
  others: () => readonly RunProcess[]
}

/** After a lookup that found a foreign process, the most expensive kind, the next one waits this multiple of its duration. */
const REST = 4
const MAX_REST_MS = 100

/** Members of a process tree that were seen with connections; the oldest are forgotten first. */
const MAX_MEMBERS = 64

export class Peers {
  readonly #peers = new WeakMap<Connection, Map<RunProcess, Peer | Promise<Peer>>>()
  /** Per run: pid → start time. */
  readonly #members = new WeakMap<RunProcess, Map<number, string>>()
  readonly #clock: Clock
  readonly #looks: Batch<Look, Peer>
  #rest: Promise<void> | undefined
  #canLook = false

  constructor(clock: Clock) {
    this.#clock = clock
    this.#looks = new Batch((looks) => this.#lookAt(looks), { gather: async () => this.#rest })
  }

  /** Whether lookups work on this machine. */
  get canLook(): boolean {
    return this.#canLook
  }

  /** Self-test: looks up this process behind a connection to our own `port`. Never rejects. */
  async tryToLook(port: number): Promise<void> {
    if (process.platform !== 'linux') return
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      const asServer = otherEndOf(socket)
      const found = (await findSockets([asServer])).get(asServer)
      this.#canLook = found !== undefined && (await isOpenIn(process.pid, found.inode))
    } catch {
      this.#canLook = false
    } finally {
      socket.destroy()
    }
  }

  /**
   * Classifies the caller as seen from this run; immediate for a cached connection. `others`: the first processes of other
   * live runs. (Default: there are none.)
   */
  of(connection: Connection, run: RunProcess, others: () => readonly RunProcess[] = () => []): Peer | Promise<Peer> {
    if (!this.#canLook) return 'unknown'
    const known = this.#peers.get(connection) ?? new Map<RunProcess, Peer | Promise<Peer>>()
    this.#peers.set(connection, known)
    const peer = known.get(run)
    if (peer !== undefined) return peer
    const looking = this.#looks.add({ connection, process: run, others })
    known.set(run, looking)
    void looking.then((found) => known.set(run, found))
    return looking
  }

  /** The caller is known to be of this run, so it is not looked up. */
  adopt(connection: Connection, run: RunProcess): void {
    const known = this.#peers.get(connection) ?? new Map<RunProcess, Peer | Promise<Peer>>()
    this.#peers.set(connection, known.set(run, 'own'))
  }

  /** Returns the process with this pid if it is the caller. Never rejects. */
  async claim(connection: Connection, agentId: AgentId, pid: number): Promise<RunProcess | undefined> {
    if (!this.#canLook) return undefined
    try {
      const socket = (await findSockets([connection])).get(connection)
      const started = await processStarted(pid)
      return socket && started && (await isOpenIn(pid, socket.inode)) ? { agentId, pid, started } : undefined
    } catch {
      return undefined
    }
  }

  /** Never rejects. */
  async #lookAt(looks: readonly Look[]): Promise<Peer[]> {
    const began = this.#clock.monotonic()
    const found = await this.#peersOf(looks).catch(() => new Map<Look, Peer>())
    const peers = looks.map((look) => found.get(look) ?? 'foreign')
    const restMs = Math.min((this.#clock.monotonic() - began) * REST, MAX_REST_MS)
    this.#rest = peers.includes('foreign') ? this.#clock.sleep(restMs) : undefined
    return peers
  }

  async #peersOf(looks: readonly Look[]): Promise<Map<Look, Peer>> {
    const peers = new Map<Look, Peer>()
    const sockets = await findSockets(new Set(looks.map(({ connection }) => connection)))
    const open: (Look & { inode: string })[] = []
    for (const look of looks) {
      const socket = sockets.get(look.connection)
      const peer = withoutProcess(socket, look.connection)
      if (peer !== undefined) peers.set(look, peer)
      else open.push(Object.assign(look, { inode: socket!.inode }))
    }
    for (const [process, ofRun] of Map.groupBy(open, ({ process }) => process)) {
      const others = ofRun[0]!.others()
      const owners = await this.#ownersIn(process, new Set(ofRun.map(({ inode }) => inode)), others)
      for (const look of ofRun) peers.set(look, owners.get(look.inode) ?? 'foreign')
    }
    return peers
  }

  /** Returns which of these sockets the run's processes hold. Processes that had connections before are checked first. */
  async #ownersIn(run: RunProcess, inodes: Set<string>, others: readonly RunProcess[]): Promise<Map<string, Peer>> {
    const answers = new Map<string, Peer>()
    let isHidden = false
    const lookAt = async (pid: number, started: string | undefined): Promise<void> => {
      if (answers.size === inodes.size || (await processStarted(pid)) !== started) return
      const sockets = await socketsOf(pid, inodes)
      isHidden ||= sockets === undefined
      if (sockets?.size && started !== undefined) this.#remember(run, pid, started)
      for (const inode of sockets ?? []) answers.set(inode, 'own')
    }
    const members = this.#membersOf(run)
    await lookAt(run.pid, run.started)
    for (const [pid, started] of [...members].reverse()) if (pid !== run.pid) await lookAt(pid, started)
    if (answers.size === inodes.size) return answers
    const { pid, started } = run
    // The first process leads no group when a script or a scheduler started it; its descendants are of the run.
    const seen = started === undefined ? members : new Map([...members, [pid, started]])
    for (const row of await readProcessTree(factsOf(run), seen, others.map(factsOf))) await lookAt(row.pid, row.started)
    // A process of the run does not let us read its descriptors.
    if (isHidden) for (const inode of inodes) if (!answers.has(inode)) answers.set(inode, 'unknown')
    return answers
  }

  #membersOf(run: RunProcess): Map<number, string> {
    const members = this.#members.get(run) ?? new Map<number, string>()
    this.#members.set(run, members)
    return members
  }

  #remember(run: RunProcess, pid: number, started: string): void {
    const members = this.#membersOf(run)
    members.delete(pid)
    members.set(pid, started)
    if (members.size > MAX_MEMBERS) members.delete(members.keys().next().value!)
  }
}

const factsOf = ({ agentId, pid, started }: RunProcess): ProcessTreeFacts => ({ agentId, group: pid, started })

/** The decision that needs no look at a process; undefined if there is none. */
function withoutProcess(socket: PeerSocket | undefined, { remoteAddress }: Connection): Peer | undefined {
  if (socket === undefined) return isOfThisMachine(remoteAddress) ? 'foreign' : 'unknown'
  if (socket.inode === '0') return 'foreign'
  const ourselves = process.getuid!()
  if (ourselves === 0 || socket.uid === ourselves) return undefined
  return socket.uid === 0 ? 'unknown' : 'foreign'
}

function isOfThisMachine(address = ''): boolean {
  const plain = withoutMapping(address)
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  return plain.startsWith('127.') || own.some((each) => each.address === plain)
}

/** A client's end of its own connection, as the server sees it. */
const otherEndOf = ({ localAddress, localPort, remoteAddress, remotePort }: Socket): Connection => ({
  localAddress: remoteAddress,
  localPort: remotePort,
  remoteAddress: localAddress,
  remotePort: localPort,
})

const isOpenIn = async (pid: number, inode: string): Promise<boolean> =>
  (await socketsOf(pid, new Set([inode])))?.has(inode) ?? false
