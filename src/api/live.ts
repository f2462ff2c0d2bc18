/**
 * The live view: a snapshot, then events, to every viewer. Events are serialized once for all, at most twenty frames
 * per second; a viewer that falls behind gets a new snapshot when it has caught up, and does not affect others. Calls
 * do not wait for viewers, however many there are: a frame is sent to a few of them in each turn of the event loop.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { ApiTokens } from '../access/api-tokens.ts'
import type { Sessions } from '../access/sessions.ts'
import { type Clock, every, isoTime, type Timer } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import type { RuntimeEvent } from '../core/events.ts'
import { MAX_RECENT_EVENTS, type Snapshot } from '../state/snapshot.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { Deps } from './deps.ts'

const FRAME_EVERY_MS = 50
/** A send takes some 25 µs; this many are the longest delay of a call. */
const SENDS_A_TURN = 16
const PING_EVERY_MS = 15_000
/** A viewer that receives nothing for longer cannot distinguish silence from a dead connection. */
const QUIET_MS = 2_000
const BEHIND_BYTES = 1024 * 1024
const STUCK_MS = 10_000
/** Interval of the frame with the server's time, in ms. */
const MAX_FRAME_AGE_MS = 1_000
const MAX_VIEWERS = 2_000
/** How long a disconnected viewer may take to close, in ms. */
const CLOSE_TIMEOUT_MS = 500

interface Viewer {
  socket: WebSocket
  /** The session's id, or the API token's. */
  session: string
  /** The `seq` of the first event it has not received. */
  from: number
  /** Monotonic ms since it fell behind; undefined while it keeps up. */
  behindSince: number | undefined
  isAlive: boolean
}

/** A frame that is being sent. */
interface Sending {
  frame: Buffer
  /** `seq` of the first event in it. */
  first: number
  /** Viewers that have not received it yet. */
  viewers: Viewer[]
}

export class LiveView {
  readonly #state: StateManager
  readonly #sessions: Sessions
  readonly #apiTokens: ApiTokens
  readonly #clock: Clock
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: 1024, perMessageDeflate: false })
  readonly #viewers = new Set<Viewer>()
  readonly #endings: (() => void)[]
  #waiting: RuntimeEvent[] = []
  /** In order. */
  readonly #outbox: Sending[] = []
  #timer: Timer | undefined
  #wasSent = false
  /** The last snapshot sent. */
  #first: { seq: number; at: number; frame: Buffer } | undefined

  constructor({ state, access: { sessions, apiTokens }, clock }: Pick<Deps, 'state' | 'access' | 'clock'>) {
    this.#clock = clock
    this.#state = state
    this.#sessions = sessions
    this.#apiTokens = apiTokens
    this.#endings = [
      state.subscribe((event) => this.#add(event)),
      sessions.onEnd((session) => this.#closeSession(session)),
      every(clock, PING_EVERY_MS, () => this.#ping()),
      every(clock, QUIET_MS, () => this.#sayThatNothingHappened()),
    ]
  }

  get viewers(): number {
    return this.#viewers.size
  }

  /**
   * Upgrades `GET /ws?ticket=&after=`, or refuses. The origin guard has already passed it. Throws CageError
   * `unauthorized`.
   */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { searchParams, pathname } = new URL(request.url ?? '/', 'http://localhost')
    const session = pathname === '/ws' ? this.#sessions.takeTicket(searchParams.get('ticket') ?? '') : undefined
    if (!session) throw new CageError('unauthorized', 'this ticket is unknown, already used, or expired')
    if (this.#viewers.size >= MAX_VIEWERS) return refuseUpgrade(socket, 503)
    const after = Number(searchParams.get('after') ?? Number.NaN)
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#welcome(webSocket, session, after))
  }

  close(): void {
    // The calls that ended last are in the last frame.
    this.#state.read()
    for (const end of this.#endings) end()
    this.#timer?.cancel()
    this.#queueWaiting()
    while (this.#outbox.length > 0) this.#sendSome()
    for (const { socket } of this.#viewers) socket.close(1001, 'the server is shutting down')
    this.#server.close()
  }

  #welcome(socket: WebSocket, session: string, after: number): void {
    const viewer: Viewer = { socket, session, from: 0, behindSince: undefined, isAlive: true }
    this.#viewers.add(viewer)
    socket.on('close', () => this.#viewers.delete(viewer))
    socket.on('error', () => socket.terminate())
    socket.on('pong', () => {
      viewer.isAlive = true
    })
    // Viewers send nothing.
    socket.on('message', () => socket.close(1008, 'viewers send nothing'))
    this.#catchUp(viewer, after)
  }

  /** Sends the missed events if they are still in memory, else a snapshot. */
  #catchUp(viewer: Viewer, after: number): void {
    const snapshot = this.#state.read()
    // These events are in the snapshot: no later frame may start with them.
    this.#queueWaiting()
    const missed = Number.isInteger(after) ? snapshot.recent.filter((event) => event.seq > after) : []
    const isComplete =
      after <= snapshot.seq && snapshot.seq - after <= MAX_RECENT_EVENTS && missed.length === snapshot.seq - after
    viewer.from = snapshot.seq + 1
    viewer.socket.send(isComplete ? this.#frame({ type: 'events', events: missed }) : this.#snapshotFrame(snapshot), {
      binary: false,
    })
  }

  #add(event: RuntimeEvent): void {
    if (this.#viewers.size === 0) return
    this.#waiting.push(event)
    this.#timer ??= this.#clock.after(FRAME_EVERY_MS, () => this.#flush())
  }

  #flush(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#queueWaiting()
    for (const viewer of this.#viewers) if (viewer.behindSince !== undefined) this.#checkOn(viewer)
  }

  #queueWaiting(): void {
    const [first] = this.#waiting
    if (first) this.#queue({ type: 'events', events: this.#waiting }, first.seq)
    this.#waiting = []
  }

  #queue(content: Record<string, unknown>, first: number): void {
    this.#wasSent = true
    this.#outbox.push({ frame: this.#frame(content), first, viewers: [...this.#viewers] })
    if (this.#outbox.length === 1) setImmediate(() => this.#sendSome())
  }

  #sendSome(): void {
    for (let sends = 0; sends < SENDS_A_TURN && this.#outbox[0]; sends++) {
      const viewer = this.#outbox[0].viewers.pop()
      if (viewer) this.#send(viewer, this.#outbox[0])
      else this.#outbox.shift()
    }
    if (this.#outbox.length > 0) setImmediate(() => this.#sendSome())
  }

  #send(viewer: Viewer, { frame, first }: Sending): void {
    const { socket, from, behindSince } = viewer
    if (behindSince !== undefined || first < from || !this.#viewers.has(viewer)) return
    if (socket.bufferedAmount <= BEHIND_BYTES) return socket.send(frame, { binary: false })
    viewer.behindSince = this.#clock.monotonic()
    this.#timer ??= this.#clock.after(FRAME_EVERY_MS, () => this.#flush())
  }

  /** Checks on a viewer that is behind. */
  #checkOn(viewer: Viewer): void {
    const { socket, behindSince } = viewer
    if (socket.bufferedAmount === 0) {
      viewer.behindSince = undefined
      return this.#catchUp(viewer, Number.NaN)
    }
    if (this.#clock.monotonic() - behindSince! > STUCK_MS) socket.terminate()
    // Also when no more events happen.
    this.#timer ??= this.#clock.after(FRAME_EVERY_MS, () => this.#flush())
  }

  #sayThatNothingHappened(): void {
    if (!this.#wasSent && this.#viewers.size > 0) this.#queue({ type: 'events', events: [] }, Number.POSITIVE_INFINITY)
    this.#wasSent = false
  }

  /** Cached while nothing happens: a hundred dashboards that open at once are not a hundred times the work. */
  #snapshotFrame(snapshot: Snapshot): Buffer {
    const now = this.#clock.monotonic()
    const isFresh = this.#first?.seq === snapshot.seq && now - this.#first.at < MAX_FRAME_AGE_MS
    if (!isFresh) {
      const frame = this.#frame({ type: 'snapshot', seq: snapshot.seq, data: snapshot })
      this.#first = { seq: snapshot.seq, at: now, frame }
    }
    return this.#first!.frame
  }

  #frame(content: Record<string, unknown>): Buffer {
    return Buffer.from(JSON.stringify({ ...content, server_time: isoTime(this.#state.now()) }))
  }

  #ping(): void {
    for (const viewer of this.#viewers) {
      if (!this.#isLetIn(viewer)) {
        this.#showOut(viewer)
        continue
      }
      if (!viewer.isAlive) viewer.socket.terminate()
      viewer.isAlive = false
      viewer.socket.ping()
    }
  }

  /** The expiry of a token emits no event. */
  #isLetIn({ session }: Viewer): boolean {
    return session === 'operator' || this.#sessions.keep(session) || this.#apiTokens.works(session)
  }

  #closeSession(session: string): void {
    for (const viewer of this.#viewers) if (viewer.session === session) this.#showOut(viewer)
  }

  /** Sends nothing more, and closes the connection even if the viewer does not respond. */
  #showOut(viewer: Viewer): void {
    this.#viewers.delete(viewer)
    viewer.socket.close(4401, 'the session has ended')
    this.#clock.after(CLOSE_TIMEOUT_MS, () => viewer.socket.terminate()).unref()
  }
}

export function refuseUpgrade(socket: Duplex, status: number): void {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
}
