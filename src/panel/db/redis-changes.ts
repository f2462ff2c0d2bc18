/**
 * Notifies the processes of a panel of changes through Redis, instead of LISTEN of PostgreSQL.
 *
 * The rules are:
 * - Nothing but ids of organizations goes there. Whoever can write to it can wake requests that wait for news, and no
 *   more: their answers come from PostgreSQL.
 * - Nobody waits for it. Changes that it missed are published when it is back; until then others learn of them late,
 *   when their request has waited for `HOLD_MS`.
 * - NOTIFY goes on, for processes without Redis, as there are during an update.
 */
import { every, systemClock, type Timer } from '../../core/clock.ts'
import { HOLD_MS } from '../control/control.ts'
import { ORGANIZATION } from '../organization.ts'
import { Changes } from './changes.ts'
import type { ChangeListener, PanelDatabase } from './database.ts'
import { reasonOf } from './open.ts'
import { redisName } from './redis-address.ts'

/** To connect, and for each answer until it is connected. */
const TIMEOUT_MS = 3_000
/** How often it is asked whether it answers; it has as long for that. */
const PING_MS = 2_000
/** How many publications may wait for an answer. */
const MAX_WAITING = 1_000
/** Changes within this time after a change are delivered together. */
const GATHER_MS = 200
/** When more than these have changed, any may have. */
const MAX_GATHERED = 1_000
/** As `newId` makes them. */
const ORGANIZATION_ID = /^org-[0-9a-f]{12}$/

export interface AnnouncedDatabase extends PanelDatabase {
  /** Whether changes arrive through Redis. */
  isConnected(): boolean
}

/**
 * The same database, whose changes are published and received through Redis. `onNotice` is called when it is lost, and
 * back.
 */
export function throughRedis(
  database: PanelDatabase,
  url: string,
  onNotice: (text: string) => void,
): AnnouncedDatabase {
  const redis = new RedisChanges(database, url, onNotice)
  return {
    ...database,
    announce: async (organizationId) => {
      redis.publish(organizationId)
      await database.announce(organizationId)
    },
    listen: (listener) => redis.changes.listen(listener),
    isConnected: () => redis.changes.isConnected,
    close: async () => void (await Promise.all([redis.changes.close(), database.close()])),
    discard: async () => void (await Promise.all([redis.changes.close(), database.discard()])),
  }
}

/** Returns why Redis cannot be used; undefined if it can. */
export async function problemOfRedis(url: string): Promise<string | undefined> {
  const client = await clientOf(url)
  client.on('error', () => {})
  try {
    await client.connect()
    return undefined
  } catch (error) {
    return reasonOf(error)
  } finally {
    client.destroy()
  }
}

/** Connects once: `Changes` replaces it. A server that sends its clients elsewhere is not followed. */
async function clientOf(url: string) {
  // CommonJS, of which a bundle has the default alone.
  const { default: redis } = await import('@redis/client')
  return redis.createClient({
    url,
    socket: { reconnectStrategy: false, connectTimeout: TIMEOUT_MS, socketTimeout: TIMEOUT_MS },
    commandsQueueMaxLength: MAX_WAITING,
    maintNotifications: 'disabled',
  })
}

class RedisChanges {
  readonly changes: Changes
  readonly #url: string
  readonly #onNotice: (text: string) => void
  #send: ((organizationId: string) => Promise<unknown>) | undefined
  readonly #unpublished = new Set<string>()
  #isReported = false

  constructor(database: PanelDatabase, url: string, onNotice: (text: string) => void) {
    this.#url = url
    this.#onNotice = onNotice
    this.changes = new Changes(async (heard, lost) => this.#connect(await channelOf(database), heard, lost))
  }

  /** Returns at once. Without Redis this process is notified, and the others when it is back. */
  publish(organizationId: string): void {
    const published = this.#send?.(organizationId) ?? Promise.reject(new Error('not connected'))
    published.catch(() => {
      this.#unpublished.add(organizationId)
      this.changes.emit(organizationId)
    })
  }

  async #connect(channel: string, heard: ChangeListener, lost: () => void): Promise<() => Promise<void>> {
    const client = await clientOf(this.#url)
    const gathered = new Gathered(heard)
    let isAnswered = true
    const ask = () => {
      if (!isAnswered) return fail(new Error(`no answer within ${PING_MS / 1000} s`))
      isAnswered = false
      client.ping().then(() => {
        isAnswered = true
      }, fail)
    }
    const stopAsking = every(systemClock, PING_MS, ask)
    let isOver = false
    const disconnect = async () => {
      isOver = true
      stopAsking()
      this.#send = undefined
      client.destroy()
    }
    const fail = (error: unknown) => {
      if (isOver) return
      void disconnect()
      this.#report(error)
      lost()
    }
    client.on('error', fail)
    try {
      await client.connect()
      await client.subscribe(channel, (payload) => gathered.add(payload))
    } catch (error) {
      fail(error)
      throw error
    }
    this.#send = (organizationId) => client.publish(channel, organizationId)
    this.#report(undefined)
    for (const id of [...this.#unpublished]) {
      this.#unpublished.delete(id)
      this.publish(id)
    }
    return disconnect
  }

  /** Once when it is lost, and once when it is back. */
  #report(error: unknown): void {
    if (this.#isReported === (error !== undefined)) return
    this.#isReported = error !== undefined
    const name = redisName(this.#url)
    this.#onNotice(
      this.#isReported
        ? `${name} cannot be used: ${reasonOf(error)}. What changes on one panel is heard on others after up to ${HOLD_MS / 1000} s`
        : `${name} can be used again`,
    )
  }
}

/** Fleets with one Redis do not wake each other: a database has the same first organization wherever it is. */
async function channelOf({ system }: PanelDatabase): Promise<string> {
  const [first] = await system.rows<{ id: string }>('SELECT id FROM organizations WHERE name = $1', [ORGANIZATION])
  return `iron_cage_changes:${first!.id}`
}

/**
 * However many messages come, listeners are notified of each organization at most once in `GATHER_MS`; the first one at
 * once.
 */
class Gathered {
  readonly #heard: ChangeListener
  #ids = new Set<string>()
  #timer: Timer | undefined

  constructor(heard: ChangeListener) {
    this.#heard = heard
  }

  /** Ignores texts that are no organization's id. */
  add(payload: string): void {
    if (!ORGANIZATION_ID.test(payload) || this.#ids.size > MAX_GATHERED) return
    this.#ids.add(payload)
    if (!this.#timer) this.#pass()
  }

  #pass(): void {
    const ids = this.#ids
    this.#ids = new Set()
    this.#timer = ids.size > 0 ? systemClock.after(GATHER_MS, () => this.#pass()).unref() : undefined
    for (const id of ids.size > MAX_GATHERED ? [undefined] : ids) this.#heard(id)
  }
}
