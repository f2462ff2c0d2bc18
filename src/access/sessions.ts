/**
 * Sessions of people on the dashboard and of the command line. A one-time code from the terminal, or a name with its
 * password, becomes a session: a short-lived access token (JWT) and a refresh token that changes at each use.
 *
 * The rules are:
 * - A session can be ended at once: the JWT alone is not enough, its session must still be there, and the role is the
 *   user's of now, not the token's of then.
 * - A refresh token works once. One that was used already may be stolen, and nobody knows which of the two that hold it is
 *   the thief: the session ends for both.
 * - Sessions are rows, so that a restart signs nobody out: where the vault is locked, what was signed at an earlier start is
 *   refused, and the refresh token gets a new one.
 */
import { randomBytes } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import { type Clock, forwardTime, isoTime } from '../clock.ts'
import type { SessionRow, SessionTable } from '../db/sessions.ts'
import { isStorageFault } from '../db/storage-fault.ts'
import type { Store } from '../db/store.ts'
import { CageError } from '../errors.ts'
import { newSessionId } from '../ids.ts'
import { ACCESS_TOKEN_HEADER, newToken } from '../tokens.ts'
import type { Identity } from './roles.ts'
import { hashOf } from './run-tokens.ts'
import type { User, UserRole, Users } from './users.ts'

/** Lifetime of an access token, in s. */
const ACCESS_S = 900
/** How long a session lasts without being used, in ms. */
const IDLE_MS = 12 * 3_600_000
/** A session that is watched with is written so often, in ms. */
const FLUSH_INTERVAL_MS = 3_600_000
/** How long a one-time code may wait to be used, in ms: a demo is prepared the evening before. */
const CODE_MS = 24 * 3_600_000
/** How long a WebSocket ticket lasts, in ms. */
const TICKET_MS = 30_000
/** Of one session at once: a show on many screens opens as many in the same second. */
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
  /** The command line's token, known to this machine's user by the server file. */
  operatorToken: string
  /** Signs access tokens; 32 bytes, of the vault. (Default: made at each start, when the vault is locked.) */
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
    this.#operatorHash = hashOf(operatorToken)
    this.#table = store.sessions
    this.#sessions = new Map(this.#table.all().map((row) => [row.id, row]))
    this.#endIdle()
    users.onChange((userId) => {
      for (const row of this.#sessions.values()) if (row.user_id === userId) this.end(row.id)
    })
  }

  /** A code for the one-time link. */
  newCode(): string {
    const code = newToken('code')
    this.#codes.set(hashOf(code), this.#clock.monotonic() + CODE_MS)
    return code
  }

  /** Throws CageError `unauthorized` for a code that is unknown, used or too old. */
  exchange(code: string): Promise<SessionTokens> {
    const hash = hashOf(code)
    const until = this.#codes.get(hash)
    this.#codes.delete(hash)
    if (until === undefined || until < this.#clock.monotonic()) {
      throw new CageError('unauthorized', 'this link was used already or is too old', {
        hint: 'get a new one with "iron-cage status"',
      })
    }
    return this.#renew(newSessionId(), null)
  }

  /** A session of somebody who has proved who he or she is. */
  open(user: User): Promise<SessionTokens> {
    this.#endIdle()
    return this.#renew(newSessionId(), user.id)
  }

  /** A refresh token works once. Throws CageError `unauthorized`. */
  refresh(refreshToken: string): Promise<SessionTokens> {
    const id = REFRESH_TOKEN.exec(refreshToken)?.[1]
    const session = id === undefined ? undefined : this.#sessions.get(id)
    if (!session || this.#isIdle(session)) throw ended()
    if (session.refresh_hash !== hashOf(refreshToken)) {
      this.end(session.id)
      throw new CageError('unauthorized', 'this refresh token was used already, so its session has ended', {
        hint: 'sign in again',
      })
    }
    return this.#renew(session.id, session.user_id)
  }

  /** Throws CageError `unauthorized` for anything that is not a living session's access token or the operator's. */
  async identify(token: string): Promise<Identity> {
    if (hashOf(token) === this.#operatorHash) return { ...OPERATOR, session: 'operator' }
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

  /** Whoever watches uses the session. False when it has ended, or is none. */
  keep(session: string): boolean {
    const row = this.#sessions.get(session)
    if (row && Date.parse(row.used_at) + FLUSH_INTERVAL_MS < this.#clock.now()) {
      this.#put({ ...row, used_at: isoTime(this.#clock.now()) })
    }
    return row !== undefined
  }

  /** Ends a session, or what else tickets were given for; its tickets and sockets go with it. */
  end(session: string): void {
    const wasThere = this.#sessions.delete(session)
    for (const [hash, ticket] of this.#tickets) if (ticket.session === session) this.#tickets.delete(hash)
    for (const listener of this.#ended) listener(session)
    // At last: what the disk refuses still holds until the next start.
    if (wasThere) stored(() => this.#table.remove(session))
  }

  /** Calls `listener` when a session ends, so that its sockets can be closed. Returns an unsubscribe function. */
  onEnd(listener: (session: string) => void): () => void {
    this.#ended.add(listener)
    return () => this.#ended.delete(listener)
  }

  /** A ticket opens one WebSocket: addresses are written to logs, so no longer-lived token goes there. */
  newTicket(session: string): string {
    this.#dropTickets(session)
    const ticket = newToken('ticket')
    this.#tickets.set(hashOf(ticket), { session, until: this.#clock.monotonic() + TICKET_MS })
    return ticket
  }

  /** The session of a ticket, once; undefined for any other. */
  takeTicket(ticket: string): string | undefined {
    const hash = hashOf(ticket)
    const found = this.#tickets.get(hash)
    this.#tickets.delete(hash)
    return found && found.until >= this.#clock.monotonic() ? found.session : undefined
  }

  /** Those that are too old, and the oldest of a session that asks for very many. */
  #dropTickets(session: string): void {
    const now = this.#clock.monotonic()
    for (const [hash, { until }] of this.#tickets) if (until < now) this.#tickets.delete(hash)
    const own = [...this.#tickets].filter(([, ticket]) => ticket.session === session)
    for (const [hash] of own.slice(0, Math.max(0, own.length - MAX_TICKETS + 1))) this.#tickets.delete(hash)
  }

  /** Nothing is awaited before the refresh token is a new one: of ten at once, one wins. */
  async #renew(id: string, userId: string | null): Promise<SessionTokens> {
    const { role, name } = this.#owner(userId)
    const refreshToken = `${newToken('refresh')}.${id}`
    const row: SessionRow = {
      id,
      user_id: userId,
      refresh_hash: hashOf(refreshToken),
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

/** Whoever is at the terminal of this machine. */
const OPERATOR = { role: 'admin', name: 'operator' } as const

/** With the session's id, so that one that was used already is known as one. */
const REFRESH_TOKEN = /^refresh_[\w-]{43}\.(session-[0-9a-f]{32})$/

const ended = (): CageError => new CageError('unauthorized', 'the session has ended')

/** Throws CageError `database_unusable` where the disk is at fault. */
function stored(write: () => void): void {
  try {
    write()
  } catch (error) {
    if (!isStorageFault(error)) throw error
    throw new CageError('database_unusable', 'the sessions cannot be written', { cause: error })
  }
}
