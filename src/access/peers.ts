/**
 * Which process is at the other end of a connection: whether a run's token comes from the run itself.
 *
 * The rules are:
 * - A run's own processes are its group, what descends from it, and what carries its agent's marks: also a pool's workers,
 *   and a daemon that has left session and environment behind.
 * - One look for each new connection and run, kept with the connection: a call on a kept connection costs a look-up in a
 *   map. Looks wait for each other: all that came meanwhile share the next reading of the system's tables.
 * - Only Linux lets us look, and only at the processes of our own user. Another user's process is a foreign one, but for
 *   root's, which could take the token from us anyway. What connects from another machine, or from a container with a
 *   network of its own, is in no table: it is `unknown`, and so is everybody where the first look, at ourselves, failed.
 * - Where looking is possible, what is not found is foreign: a caller that has hung up already, or a fault of the system.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Clock } from '../clock.ts'
import type { AgentId } from '../ids.ts'
import { processStarted, readProcessTree, socketsOf } from '../process-table.ts'
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
  resolve: (peer: Peer) => void
}

/** After a look that found a stranger, which is the dearest, the next one waits so many times as long as it took. */
const REST = 4
const MAX_REST_MS = 100

/** Members of a process tree that were seen with connections; the oldest are forgotten first. */
const MAX_MEMBERS = 64

export class Peers {
  readonly #peers = new WeakMap<Connection, Map<RunProcess, Peer | Promise<Peer>>>()
  /** Of each run, pid → start time. */
  readonly #members = new WeakMap<RunProcess, Map<number, string>>()
  readonly #clock: Clock
  #waiting: Look[] = []
  #isLooking = false
  #canLook = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether the process behind a connection can be found on this machine at all. */
  get canLook(): boolean {
    return this.#canLook
  }

  /** Looks for ourselves behind a connection to `port` of this machine, which is ours. Never rejects. */
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

  /** Who is at the other end, as seen from this run. At once on a connection that was looked at before. */
  of(connection: Connection, run: RunProcess): Peer | Promise<Peer> {
    if (!this.#canLook) return 'unknown'
    const known = this.#peers.get(connection) ?? new Map<RunProcess, Peer | Promise<Peer>>()
    this.#peers.set(connection, known)
    const peer = known.get(run)
    if (peer !== undefined) return peer
    const looking = this.#look(connection, run)
    known.set(run, looking)
    void looking.then((found) => known.set(run, found))
    return looking
  }

  /** The process with this pid, when it is the one at the other end. Never rejects. */
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

  #look(connection: Connection, process: RunProcess): Promise<Peer> {
    return new Promise((resolve) => {
      // Who comes while others are looked at waits for the next reading.
      this.#waiting.push({ connection, process, resolve })
      if (!this.#isLooking) void this.#lookAtAll()
    })
  }

  /** Never rejects. */
  async #lookAtAll(): Promise<void> {
    this.#isLooking = true
    while (this.#waiting.length > 0) {
      const looks = this.#waiting.splice(0)
      const began = this.#clock.monotonic()
      const peers = await this.#peersOf(looks).catch(() => new Map<Look, Peer>())
      for (const look of looks) look.resolve(peers.get(look) ?? 'foreign')
      const isQuiet = looks.every((look) => peers.has(look) && peers.get(look) !== 'foreign')
      if (!isQuiet) await this.#clock.sleep(Math.min((this.#clock.monotonic() - began) * REST, MAX_REST_MS))
    }
    this.#isLooking = false
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
      const owners = await this.#ownersIn(process, new Set(ofRun.map(({ inode }) => inode)))
      for (const look of ofRun) peers.set(look, owners.get(look.inode) ?? 'foreign')
    }
    return peers
  }

  /** Of these sockets those that the run's processes have open. Who had connections before is looked at first. */
  async #ownersIn(run: RunProcess, inodes: Set<string>): Promise<Map<string, Peer>> {
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
    const { agentId, pid: group, started } = run
    for (const row of await readProcessTree({ agentId, group, started }, members)) await lookAt(row.pid, row.started)
    // One of the run's own does not let us see what it has open.
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

/** What is certain before any process is looked at; undefined for nothing. */
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
