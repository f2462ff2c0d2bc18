/**
 * Sessions of people on the dashboard and of the command line on the same machine. A one-time code from the terminal
 * becomes a session: a short-lived access token (JWT, signed with a key of this start) and a refresh token that changes
 * at each use. A session can be ended at once: the JWT alone is not enough, its session must still be there.
 */
import { randomBytes } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import type { Clock } from '../clock.ts'
import { CageError } from '../errors.ts'
import { newToken } from '../ids.ts'
import type { Identity } from './roles.ts'
import { hashOf } from './run-tokens.ts'

/** Lifetime of an access token, in s. */
const ACCESS_S = 900
/** How long a session lasts without being used, in ms. */
const IDLE_MS = 12 * 3_600_000
/** How long a one-time code may wait to be used, in ms: a demo is prepared the evening before. */
const CODE_MS = 24 * 3_600_000
/** How long a WebSocket ticket lasts, in ms. */
const TICKET_MS = 30_000

type PersonRole = 'admin' | 'viewer'

export interface SessionTokens {
  access_token: string
  refresh_token: string
  /** Seconds until the access token ends. */
  expires_in: number
  role: PersonRole
  name: string
}

interface Session {
  id: string
  role: PersonRole
  name: string
  refreshHash: string
  usedAt: number
}

export class Sessions {
  readonly #clock: Clock
  readonly #key = randomBytes(32)
  readonly #codes = new Map<string, number>()
  readonly #tickets = new Map<string, { session: string; until: number }>()
  readonly #sessions = new Map<string, Session>()
  readonly #ended = new Set<(session: string) => void>()
  /** The command line's token, known to this machine's user by the server file. */
  readonly operatorToken = newToken('ic')
  readonly #operatorHash = hashOf(this.operatorToken)

  constructor(clock: Clock) {
    this.#clock = clock
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
    const session = { id: newToken('ticket'), role: 'admin' as const, name: 'operator', refreshHash: '', usedAt: 0 }
    this.#sessions.set(session.id, session)
    return this.#renew(session)
  }

  /** A refresh token works once. Throws CageError `unauthorized`. */
  refresh(refreshToken: string): Promise<SessionTokens> {
    const hash = hashOf(refreshToken)
    const session = [...this.#sessions.values()].find((candidate) => candidate.refreshHash === hash)
    if (!session || session.usedAt + IDLE_MS < this.#clock.monotonic()) throw ended()
    return this.#renew(session)
  }

  /** Throws CageError `unauthorized` for anything that is not a living session's access token or the operator's. */
  async identify(token: string): Promise<Identity> {
    if (hashOf(token) === this.#operatorHash) return { role: 'admin', name: 'operator', session: 'operator' }
    const claims = await jwtVerify(token, this.#key, {
      algorithms: ['HS256'],
      typ: 'at+jwt',
      audience: 'iron-cage',
      currentDate: new Date(this.#clock.now()),
    }).catch(() => {
      throw ended()
    })
    const session = this.#sessions.get(claims.payload.sub ?? '')
    if (!session) throw ended()
    // The role is the session's, not the token's: a change holds at once.
    return { role: session.role, name: session.name, session: session.id }
  }

  /** Ends a session, or what else tickets were given for; its tickets and sockets go with it. */
  end(session: string): void {
    this.#sessions.delete(session)
    for (const [hash, ticket] of this.#tickets) if (ticket.session === session) this.#tickets.delete(hash)
    for (const listener of this.#ended) listener(session)
  }

  /** Told when a session ends, so that its sockets can be closed. Returns the way out. */
  onEnd(listener: (session: string) => void): () => void {
    this.#ended.add(listener)
    return () => this.#ended.delete(listener)
  }

  /** A ticket opens one WebSocket: addresses are written to logs, so no longer-lived token goes there. */
  newTicket(session: string): string {
    const ticket = newToken('ticket')
    this.#tickets.set(hashOf(ticket), { session, until: this.#clock.monotonic() + TICKET_MS })
    return ticket
  }

  /** The session of a ticket, once; undefined for any other. */
  takeTicket(ticket: string): string | undefined {
    const hash = hashOf(ticket)
    const found = this.#tickets.get(hash)
    this.#tickets.delete(hash)
    for (const [old, { until }] of this.#tickets) if (until < this.#clock.monotonic()) this.#tickets.delete(old)
    return found && found.until >= this.#clock.monotonic() ? found.session : undefined
  }

  async #renew(session: Session): Promise<SessionTokens> {
    const refreshToken = newToken('refresh')
    session.refreshHash = hashOf(refreshToken)
    session.usedAt = this.#clock.monotonic()
    const accessToken = await new SignJWT({ role: session.role })
      .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt' })
      .setSubject(session.id)
      .setAudience('iron-cage')
      .setExpirationTime(Math.floor(this.#clock.now() / 1000) + ACCESS_S)
      .sign(this.#key)
    return {
      access_token: accessToken,
      refresh_token: refreshToken,
      expires_in: ACCESS_S,
      role: session.role,
      name: session.name,
    }
  }
}

const ended = (): CageError => new CageError('unauthorized', 'the session has ended')
