/**
 * The live view: a snapshot, then events, to every viewer. Events are serialised once for all, at most twenty frames a
 * second; a viewer that cannot keep up gets a new snapshot when it has caught up, and harms nobody else.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Sessions } from '../access/sessions.ts'
import { type Clock, isoTime } from '../clock.ts'
import type { RuntimeEvent } from '../events.ts'
import { EVENTS_KEPT } from '../state/snapshot.ts'
import type { StateManager } from '../state/state-manager.ts'

const FRAME_EVERY_MS = 50
const PING_EVERY_MS = 15_000
const BEHIND_BYTES = 1024 * 1024
const STUCK_MS = 10_000
const VIEWERS_AT_MOST = 2_000

interface Viewer {
  socket: WebSocket
  session: string
  /** Monotonic ms since which it is behind; undefined while it keeps up. */
  behindSince: number | undefined
  isAlive: boolean
}

export class LiveView {
  readonly #state: StateManager
  readonly #sessions: Sessions
  readonly #clock: Clock
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: 1024, perMessageDeflate: false })
  readonly #viewers = new Set<Viewer>()
  readonly #unsubscribe: (() => void)[]
  #waiting: RuntimeEvent[] = []
  #timer: NodeJS.Timeout | undefined
  readonly #pings: NodeJS.Timeout

  constructor(state: StateManager, sessions: Sessions, clock: Clock) {
    this.#clock = clock
    this.#state = state
    this.#sessions = sessions
    this.#unsubscribe = [
      state.subscribe((event) => this.#add(event)),
      sessions.onEnd((session) => this.#closeSession(session)),
    ]
    this.#pings = setInterval(() => this.#ping(), PING_EVERY_MS)
    this.#pings.unref()
  }

  get viewers(): number {
    return this.#viewers.size
  }

  /** Upgrades `GET /ws?ticket=&after=`, or refuses. The door was passed already. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { searchParams, pathname } = new URL(request.url ?? '/', 'http://localhost')
    const session = pathname === '/ws' ? this.#sessions.takeTicket(searchParams.get('ticket') ?? '') : undefined
    if (!session) return refuse(socket, '401 Unauthorized')
    if (this.#viewers.size >= VIEWERS_AT_MOST) return refuse(socket, '503 Service Unavailable')
    const after = Number(searchParams.get('after') ?? Number.NaN)
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#welcome(webSocket, session, after))
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe()
    clearInterval(this.#pings)
    this.#flush()
    clearTimeout(this.#timer)
    for (const { socket } of this.#viewers) socket.close(1001, 'the server stops')
    this.#server.close()
  }

  #welcome(socket: WebSocket, session: string, after: number): void {
    const viewer: Viewer = { socket, session, behindSince: undefined, isAlive: true }
    // What waits is in the snapshot already: everyone else gets it now, the new viewer not twice.
    this.#flush()
    this.#viewers.add(viewer)
    socket.on('close', () => this.#viewers.delete(viewer))
    socket.on('error', () => socket.terminate())
    socket.on('pong', () => {
      viewer.isAlive = true
    })
    // Viewers have nothing to say.
    socket.on('message', () => socket.close(1008, 'viewers send nothing'))
    this.#catchUp(viewer, after)
  }

  /** The missed events when they are still at hand, else a snapshot. */
  #catchUp(viewer: Viewer, after: number): void {
    const snapshot = this.#state.read()
    const missed = Number.isInteger(after) ? snapshot.recent.filter((event) => event.seq > after) : []
    const isComplete =
      after <= snapshot.seq && snapshot.seq - after <= EVENTS_KEPT && missed.length === snapshot.seq - after
    viewer.socket.send(
      isComplete
        ? this.#frame({ type: 'events', events: missed })
        : this.#frame({ type: 'snapshot', seq: snapshot.seq, data: snapshot }),
    )
  }

  #add(event: RuntimeEvent): void {
    if (this.#viewers.size === 0) return
    this.#waiting.push(event)
    this.#timer ??= setTimeout(() => this.#flush(), FRAME_EVERY_MS)
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const events = this.#waiting
    this.#waiting = []
    const frame = events.length > 0 ? this.#frame({ type: 'events', events }) : undefined
    for (const viewer of this.#viewers) this.#send(viewer, frame)
    // Who is behind is looked at again also when nothing happens any more.
    const isAnyBehind = [...this.#viewers].some(({ behindSince }) => behindSince !== undefined)
    if (isAnyBehind) this.#timer = setTimeout(() => this.#flush(), FRAME_EVERY_MS)
  }

  #send(viewer: Viewer, frame: string | undefined): void {
    const { socket, behindSince } = viewer
    if (socket.bufferedAmount > BEHIND_BYTES) {
      viewer.behindSince ??= this.#clock.monotonic()
      if (this.#clock.monotonic() - viewer.behindSince > STUCK_MS) socket.terminate()
    } else if (behindSince === undefined) {
      if (frame !== undefined) socket.send(frame)
    } else if (socket.bufferedAmount === 0) {
      viewer.behindSince = undefined
      this.#catchUp(viewer, Number.NaN)
    }
  }

  #frame(content: Record<string, unknown>): string {
    return JSON.stringify({ ...content, server_time: isoTime(this.#state.now()) })
  }

  #ping(): void {
    for (const viewer of this.#viewers) {
      if (!viewer.isAlive) viewer.socket.terminate()
      viewer.isAlive = false
      viewer.socket.ping()
    }
  }

  #closeSession(session: string): void {
    for (const { socket, session: owner } of this.#viewers)
      if (owner === session) socket.close(4401, 'the session has ended')
  }
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
}
