/**
 * Sessions of people on the dashboard and of the command line. A one-time code from the terminal, or a user name with its
 * password, is exchanged for a session: a short-lived access token (JWT) and a refresh token that rotates at each use.
 *
 * The rules are:
 * - A session can be ended immediately: a JWT is valid only while its session exists, and the role is the user's current
 *   one, not the one at signing.
 * - A refresh token works once. A reused one may be stolen, and the thief cannot be distinguished from the owner: the session ends
 *   for both.
 * - Sessions are stored, so that they survive a restart. With a locked vault, access tokens signed before the restart
 *   are refused, and the refresh token gets a new one.
 */
import { randomBytes } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import { type Clock, forwardTime, isoTime } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { newSessionId } from '../core/ids.ts'
import { ACCESS_TOKEN_HEADER, newToken } from '../core/tokens.ts'
import { isStorageFault } from '../db/storage-fault.ts'
import type { Store } from '../db/store.ts'
import type { SessionRow, SessionTable } from '../db/tables/sessions.ts'
import type { Identity } from './roles.ts'
import { tokenHash } from './run-tokens.ts'
import type { User, UserRole, Users } from './users.ts'

/** Lifetime of an access token, in s. */
const ACCESS_S = 900
/** How long a session lasts without being used, in ms. */
const IDLE_MS = 12 * 3_600_000
/** How often the last use of a session with an open WebSocket is stored, in ms. */
const FLUSH_INTERVAL_MS = 3_600_000
/** Lifetime of a one-time code, in ms: long enough to prepare a demo the evening before. */
const CODE_MS = 24 * 3_600_000
/** Lifetime of a WebSocket ticket, in ms. */
const TICKET_MS = 30_000
/** Open tickets per session: many screens of one session connect in the same second. */
const MAX_TICKETS = 2_000

export interface SessionTokens {
  access_token: string
  refresh_token: string
  /** Seconds until the access token ends. */
  expires_in: number
  role: UserRole
  name: string
}

export interface SessionOptions {
  store: Pick<Store, 'sessions'>
  clock: Clock
  users: Users
  /** The command line's token, which this machine's user reads from the server file. */
  operatorToken: string
  /** Signs access tokens; 32 bytes from the vault. (Default: random at each start, for a locked vault.) */
  signingKey?: Uint8Array | undefined
}

export class Sessions {
  readonly #clock: Clock
  readonly #forwardNow: () => number
  readonly #users: Users
  readonly #table: SessionTable
  readonly #key: Uint8Array
  readonly #operatorHash: string
  readonly #codes = new Map<string, number>()
  readonly #tickets = new Map<string, { session: string; until: number }>()
  readonly #sessions: Map<string, SessionRow>
  readonly #ended = new Set<(session: string) => void>()

  constructor({ store, clock, users, operatorToken, signingKey = randomBytes(32) }: SessionOptions) {
    this.#clock = clock
    this.#forwardNow = forwardTime(clock)
    this.#users = users
    this.#key = signingKey
    this.#operatorHash = tokenHash(operatorToken)
    this.#table = store.sessions
    this.#sessions = new Map(this.#table.all().map((row) => [row.id, row]))
    this.#endIdle()
    users.onChange((userId) => {
      for (const row of this.#sessions.values()) if (row.user_id === userId) this.end(row.id)
    })
  }

  /** Creates a code for the one-time link. */
  newCode(): string {
    const code = newToken('code')
    this.#codes.set(tokenHash(code), this.#clock.monotonic() + CODE_MS)
    return code
  }

  /** Throws CageError `unauthorized` for a code that is unknown, used or too old. */
  exchange(code: string): Promise<SessionTokens> {
    const hash = tokenHash(code)
    const until = this.#codes.get(hash)
    this.#codes.delete(hash)
    if (until === undefined || until < this.#clock.monotonic()) {
      throw new CageError('unauthorized', 'this link has expired or was already used', {
        hint: 'get a new one with "iron-cage status"',
      })
    }
    return this.#renew(newSessionId(), null)
  }

  /** Opens a session for an authenticated person. */
  open(user: User): Promise<SessionTokens> {
    this.#endIdle()
    return this.#renew(newSessionId(), user.id)
  }

  /**
   * Opens another session of the same person, for a second tab. Throws CageError `conflict` for a caller without a
   * session.
   */
  openBeside(session: string): Promise<SessionTokens> {
    const row = this.#sessions.get(session)
    if (!row) throw new CageError('conflict', 'only a session of the dashboard can open another one')
    this.#endIdle()
    return this.#renew(newSessionId(), row.user_id)
  }

  /** Exchanges a refresh token, which works once. Throws CageError `unauthorized`. */
  refresh(refreshToken: string): Promise<SessionTokens> {
    const id = REFRESH_TOKEN.exec(refreshToken)?.[1]
    const session = id === undefined ? undefined : this.#sessions.get(id)
    if (!session || this.#isIdle(session)) throw ended()
    if (session.refresh_hash !== tokenHash(refreshToken)) {
      this.end(session.id)
      throw new CageError('unauthorized', 'this refresh token was used already, so its session has ended', {
        hint: 'sign in again',
      })
    }
    return this.#renew(session.id, session.user_id)
  }

  /** Throws CageError `unauthorized` for anything but the operator's token or the access token of an open session. */
  async identify(token: string): Promise<Identity> {
    if (tokenHash(token) === this.#operatorHash) return { ...OPERATOR, session: 'operator' }
    const claims = await jwtVerify(token, this.#key, {
      algorithms: [ACCESS_TOKEN_HEADER.alg],
      typ: ACCESS_TOKEN_HEADER.typ,
      audience: 'iron-cage',
      requiredClaims: ['sub', 'exp'],
      currentDate: new Date(this.#forwardNow()),
    }).catch(() => {
      throw ended()
    })
    const session = this.#sessions.get(claims.payload.sub ?? '')
    if (!session) throw ended()
    return { ...this.#owner(session.user_id), session: session.id }
  }

  /** Marks the session as used. Returns false when it has ended or does not exist. */
  keep(session: string): boolean {
    const row = this.#sessions.get(session)
    if (row && Date.parse(row.used_at) + FLUSH_INTERVAL_MS < this.#clock.now()) {
      this.#put({ ...row, used_at: isoTime(this.#clock.now()) })
    }
    return row !== undefined
  }

  /** Ends a session, or another identity with tickets, and with it its tickets and sockets. */
  end(session: string): void {
    const wasThere = this.#sessions.delete(session)
    for (const [hash, ticket] of this.#tickets) if (ticket.session === session) this.#tickets.delete(hash)
    for (const listener of this.#ended) listener(session)
    // Last: if the disk refuses, the session is still over until the next start.
    if (wasThere) stored(() => this.#table.remove(session))
  }

  /** Calls `listener` when a session ends, so that its sockets can be closed. Returns an unsubscribe function. */
  onEnd(listener: (session: string) => void): () => void {
    this.#ended.add(listener)
    return () => this.#ended.delete(listener)
  }

  /** Creates a ticket for one WebSocket: URLs end up in logs, so no long-lived token belongs there. */
  newTicket(session: string): string {
    this.#dropTickets(session)
    const ticket = newToken('ticket')
    this.#tickets.set(tokenHash(ticket), { session, until: this.#clock.monotonic() + TICKET_MS })
    return ticket
  }

  /** Redeems a ticket: returns its session once, else undefined. */
  takeTicket(ticket: string): string | undefined {
    const hash = tokenHash(ticket)
    const found = this.#tickets.get(hash)
    this.#tickets.delete(hash)
    return found && found.until >= this.#clock.monotonic() ? found.session : undefined
  }

  /** Drops expired tickets, and the oldest of a session that has too many. */
  #dropTickets(session: string): void {
    const now = this.#clock.monotonic()
    for (const [hash, { until }] of this.#tickets) if (until < now) this.#tickets.delete(hash)
    const own = [...this.#tickets].filter(([, ticket]) => ticket.session === session)
    for (const [hash] of own.slice(0, Math.max(0, own.length - MAX_TICKETS + 1))) this.#tickets.delete(hash)
  }

  /** Synchronous up to the new refresh token: of ten concurrent uses one wins. */
  async #renew(id: string, userId: string | null): Promise<SessionTokens> {
    const { role, name } = this.#owner(userId)
    const refreshToken = `${newToken('refresh')}.${id}`
    const row: SessionRow = {
      id,
      user_id: userId,
      refresh_hash: tokenHash(refreshToken),
      used_at: isoTime(this.#clock.now()),
    }
    this.#put(row)
    const accessToken = await new SignJWT({ role })
      .setProtectedHeader(ACCESS_TOKEN_HEADER)
      .setSubject(id)
      .setAudience('iron-cage')
      .setExpirationTime(Math.floor(this.#clock.now() / 1000) + ACCESS_S)
      .sign(this.#key)
    return { access_token: accessToken, refresh_token: refreshToken, expires_in: ACCESS_S, role, name }
  }

  #owner(userId: string | null): { role: UserRole; name: string } {
    if (userId === null) return OPERATOR
    const user = this.#users.find(userId)
    if (!user) throw ended()
    return { role: user.role, name: user.username }
  }

  #put(row: SessionRow): void {
    stored(() => this.#table.put(row))
    this.#sessions.set(row.id, row)
  }

  #endIdle(): void {
    for (const row of this.#sessions.values()) if (this.#isIdle(row)) this.end(row.id)
  }

  #isIdle({ used_at }: SessionRow): boolean {
    return Date.parse(used_at) + IDLE_MS < this.#clock.now()
  }
}

/** The identity of the person at the terminal of this machine. */
const OPERATOR = { role: 'admin', name: 'operator' } as const

/** Contains the session's id, so that reuse can be detected. */
const REFRESH_TOKEN = /^refresh_[\w-]{43}\.(session-[0-9a-f]{32})$/

const ended = (): CageError => new CageError('unauthorized', 'the session has ended')

/** Throws CageError `database_unusable` for disk errors. */
function stored(write: () => void): void {
  try {
    write()
  } catch (error) {
    if (!isStorageFault(error)) throw error
    throw new CageError('database_unusable', 'the sessions cannot be written', { cause: error })
  }
}
