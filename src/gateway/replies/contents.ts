/**
 * Keeps the contents of calls, if `calls.keep_content` is on: the request as it was sent and the reply as its client
 * received it, as a conversation in which everything that is detected is redacted, sealed under the master key. Nothing
 * is kept while the vault is locked. Without it a call does nothing here.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { Config } from '../../config/schema.ts'
import type { CallContent, Turn } from '../../core/call-content.ts'
import { type Clock, isoTime } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import type { AgentId, CallId } from '../../core/ids.ts'
import type { Store } from '../../db/store.ts'
import { replyTurns, requestTurns, streamTurns } from '../../dialects/conversation.ts'
import { isObject, type JsonObject } from '../../dialects/json.ts'
import { type Scrub, scrubTexts } from '../../state/clean.ts'
import type { Vault } from '../../vault/vault.ts'
import { LARGE_BYTES } from '../bodies/bytes.ts'
import type { ClientConnection } from '../provider/client.ts'
import type { Framing } from './frames.ts'
import { serverSentEvents } from './framing.ts'

/** How often contents beyond the retention are removed, in ms. */
const PRUNE_INTERVAL_MS = 600_000
const DAY_MS = 86_400_000

export interface ContentsOptions {
  config: Config['calls']
  store: Pick<Store, 'contents'>
  vault: Pick<Vault, 'isLocked' | 'sealContent' | 'openContent'>
  clock: Clock
  /** Redacts everything that is detected. */
  scrub: Scrub
  onFault: (error: unknown, what: string) => void
}

export class Contents {
  readonly #options: ContentsOptions
  #prunedAt = Number.NEGATIVE_INFINITY

  constructor(options: ContentsOptions) {
    this.#options = options
  }

  /** New calls are kept. */
  get isKeeping(): boolean {
    return this.#options.config.keep_content && !this.#options.vault.isLocked
  }

  /**
   * Begins to collect the content of a call; undefined when nothing is kept. Call `keep` of the result when it has
   * ended.
   */
  record(
    { id, caller }: { id: CallId; caller: { agentId: AgentId } },
    body: string | Buffer,
    client: Pick<ClientConnection, 'watch'>,
  ): Recording | undefined {
    if (!this.isKeeping) return undefined
    const recording = new Recording(body, (content) => this.#put(id, caller.agentId, content))
    client.watch((piece) => recording.sent(piece))
    return recording
  }

  /** Throws CageError `vault_locked`, `vault_broken`, `not_found`. */
  read(id: CallId): CallContent {
    const row = this.#options.store.contents.get(id)
    if (!row) {
      throw new CageError('not_found', `no content of ${id} is kept`, {
        hint: 'set calls.keep_content, with an open vault, to keep what later calls say',
      })
    }
    const opened = this.#options.vault.openContent(id, row.sealed)
    return JSON.parse(inflateRawSync(opened).toString('utf8')) as CallContent
  }

  /** Removes the kept contents of an agent's calls, or of all; returns their number. */
  async erase(agentId: AgentId | null): Promise<number> {
    return drain(() => this.#options.store.contents.erase(agentId))
  }

  #put(call_id: CallId, agent_id: AgentId, said: Omit<CallContent, 'call_id' | 'at'>): void {
    const { store, vault, clock, scrub, onFault } = this.#options
    const at = isoTime(clock.now())
    try {
      const content = { call_id, at, ...scrubTexts(said, scrub) } satisfies CallContent
      const sealed = vault.sealContent(call_id, deflateRawSync(JSON.stringify(content)))
      if (sealed) store.contents.put({ call_id, agent_id, at, sealed })
      void this.prune().catch((error) => onFault(error, 'old contents of calls could not be removed'))
    } catch (error) {
      onFault(error, `the content of ${call_id} could not be kept`)
    }
  }

  /** Removes contents older than the retention, at most every few minutes. */
  async prune(): Promise<void> {
    const { clock, config, store } = this.#options
    if (clock.now() - this.#prunedAt < PRUNE_INTERVAL_MS) return
    this.#prunedAt = clock.now()
    const before = isoTime(clock.now() - config.retention_days * DAY_MS)
    await drain(() => store.contents.prune(before))
  }
}

/** Calls `remove` in turns until it removes nothing more; returns the sum. */
async function drain(remove: () => number): Promise<number> {
  for (let sum = 0; ; await nextTurn()) {
    const removed = remove()
    if (removed === 0) return sum
    sum += removed
  }
}

/** The content of one call. */
class Recording {
  /** How its reply is streamed. (Default: it is whole, or ends with an error in server-sent events.) */
  framing: Framing | undefined
  readonly #request: string | null
  readonly #put: (content: Omit<CallContent, 'call_id' | 'at'>) => void
  /** A character may be split between two pieces. */
  readonly #reply: Buffer[] = []
  #bytes = 0
  #isCut = false

  constructor(body: string | Buffer, put: (content: Omit<CallContent, 'call_id' | 'at'>) => void) {
    this.#put = put
    // Before it is sent, as large bodies move to another thread.
    this.#request = body.length <= LARGE_BYTES ? body.toString() : null
    this.#isCut = this.#request === null
  }

  sent(piece: string | Buffer): void {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : Buffer.from(piece)
    this.#bytes += bytes.length
    if (this.#bytes > LARGE_BYTES) this.#isCut = true
    else this.#reply.push(bytes)
  }

  keep(): void {
    const reply = Buffer.concat(this.#reply)
    const isWhole = !this.framing && reply.toString('utf8', 0, 1) === '{'
    this.#put({
      request: turnsOf(this.#request, requestTurns),
      reply: isWhole ? turnsOf(reply.toString(), replyTurns) : streamTurns(this.#framesOf(reply)),
      cut: this.#isCut,
    })
  }

  #framesOf(reply: Buffer): JsonObject[] {
    const decoder = (this.framing ?? serverSentEvents).decoder()
    return [...(decoder.feed(reply) ?? []), ...decoder.end()]
      .map(({ data }) => parsed(data))
      .filter((frame) => frame !== undefined)
  }
}

function turnsOf(text: string | null, read: (value: JsonObject) => Turn[]): Turn[] {
  const value = text === null ? undefined : parsed(text)
  return value ? read(value) : []
}

function parsed(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
