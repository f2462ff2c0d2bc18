/**
 * Whether a provider's model is known to obey the limit that it is sent. A hold is as good as that: a server that reads
 * `max_tokens` only answers in full what was held for one token.
 *
 * The rules are:
 * - The official servers are known to obey, and so is what an admin trusts. Any other model of any other provider is after
 *   a first answer within what was held for its limit; until then its calls go one at a time, each held at the most that
 *   the model can cost.
 * - What the first answer read beyond its request (a template, a system prompt of the server's own) is no disobedience: it
 *   is added to the input of later holds, up to a bound.
 * - A request with a field that nobody here knows is such a call again, until an answer with that field was within its hold.
 * - What was charged above a hold is posted. Up to a tenth of it, or the price of two tokens, is added to later holds of
 *   that model; with more the model is refused until an admin trusts it. A server that lies overruns once, by one call.
 * - What is known is kept with the address of the provider: behind another one is another server.
 *
 * The road not taken: to hold every call at the most that its model can cost. It is safe as well, and a budget of $10
 * would then be held by five parallel calls of a dear model.
 */
import { type Clock, isoTime } from '../clock.ts'
import type { MetaTable } from '../db/meta.ts'
import type { Store } from '../db/store.ts'
import { CageError } from '../errors.ts'
import type { AgentId, CallId } from '../ids.ts'
import { type Nanodollars, showUsd, toUsd, type Usd } from '../money.ts'
import type { StateManager } from '../state/state-manager.ts'

/** A call that costs more than so many times its hold ends the trust. */
const MAX_OVERRUN = 1.1
/** Tokens that a server may read beside a request. */
const MAX_ADDED_TOKENS = 4_096
/** What an admin trusts again although it cost more is held at that from then on, up to so many times the bound. */
const MAX_TRUSTED_FACTOR = 2
/** Models that are kept; names are made up by agents. */
const MAX_MODELS = 5_000
/** Unknown fields that are kept of one model. */
const MAX_FIELDS = 100

/** Whom a call goes to. */
export interface Subject {
  provider: string
  model: string
  /** The provider's base URL. */
  address: string
  /** The vendor's own server. */
  isOfficial: boolean
  unknownFields: readonly string[]
}

/** The right to send a call. */
export interface Admission {
  /** False: it must be held at the most that the model can cost. */
  readonly isTrusted: boolean
  /** What the hold is multiplied by: 1 to 1.1. */
  readonly factor: number
  /** Tokens that the server is known to read beside a request. */
  readonly addedTokens: number
  /** Ends it, once; more often changes nothing. `answered` is left out for a call of which nothing is learned. */
  end(answered?: Answered): void
}

export interface Answered {
  agentId: AgentId
  callId: CallId
  /** What the call could cost within the limits that it was sent with, not 0; the factor comes on top. */
  bound: Nanodollars
  /** What a token or two cost, which servers count beside an answer: nobody is refused for these. */
  slack: Nanodollars
  /** Tokens that were read beyond the bound, and what they cost. */
  added: { tokens: number; cost: Nanodollars }
  /** What the provider says it cost. */
  claimed: Nanodollars
}

/** What is known of one model of one provider. */
export interface ModelTrust {
  /** "provider/model", or the provider alone for all of its models. */
  name: string
  state: 'new' | 'trusted' | 'refused'
  /** ISO 8601 UTC. */
  since: string
  /** Later holds are multiplied by it. */
  factor: number
  /** Of the overrun for which it is refused. */
  overrun: { call_id: string; agent_id: string; bound_usd: Usd; claimed_usd: Usd } | null
}

interface Entry extends ModelTrust {
  address: string
  fields: string[]
  addedTokens?: number
}

export class Trust {
  readonly #state: StateManager
  readonly #clock: Pick<Clock, 'now'>
  readonly #store: Store
  readonly #meta: MetaTable
  readonly #entries = new Map<string, Entry>()
  readonly #queues = new Map<string, Queue>()

  constructor({ store, state, clock }: { store: Store; state: StateManager; clock: Pick<Clock, 'now'> }) {
    this.#state = state
    this.#clock = clock
    this.#store = store
    this.#meta = store.meta
    for (const { value } of this.#meta.find(PREFIX)) {
      const entry = JSON.parse(value) as Entry
      this.#entries.set(entry.name, entry)
    }
  }

  /** What is known, in the order of names. */
  list(): ModelTrust[] {
    return [...this.#entries.values()].map(shown).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /**
   * Admits a call, as soon as it is its turn. Throws CageError `model_refused`, and the signal's reason when the client
   * left.
   */
  async enter(subject: Subject, signal: AbortSignal): Promise<Admission> {
    const name = nameOf(subject)
    for (;;) {
      const entry = this.#entryOf(subject)
      if (entry?.state === 'refused') throw refused(entry)
      const { factor = 1, addedTokens = 0 } = entry ?? {}
      if (this.#isTrusted(subject, entry)) {
        return this.#admission(subject, { isTrusted: true, factor, addedTokens })
      }
      const queue = this.#queueOf(name)
      if (!queue.isBusy) {
        queue.isBusy = true
        return this.#admission(subject, { isTrusted: false, factor, addedTokens })
      }
      await queue.turn(signal)
    }
  }

  /**
   * Trusts "provider/model", or all models of a provider that are not refused. `by`: who wanted it. `address`: that of
   * the provider.
   */
  trust(name: string, address: string, by: string): ModelTrust {
    const known = this.#entries.get(name)
    const overrun = known?.overrun ? Number(known.overrun.claimed_usd) / Number(known.overrun.bound_usd) : 1
    const factor = overrun <= MAX_TRUSTED_FACTOR ? Math.max(overrun, known?.factor ?? 1) : 1
    const entry: Entry = { ...this.#new(name, address), state: 'trusted', factor, fields: known?.fields ?? [] }
    this.#state.record(
      {
        type: 'model.trusted',
        level: 'INFO',
        message: `${name} is trusted to obey its limits, says ${by}`,
        data: { name, by },
      },
      () => this.#keep(entry),
    )
    this.#entries.set(name, entry)
    for (const [queued, queue] of this.#queues) {
      if (queued === name || queued.startsWith(`${name}/`)) queue.wakeAll()
    }
    return shown(entry)
  }

  #isTrusted({ provider, address, isOfficial, unknownFields }: Subject, entry: Entry | undefined): boolean {
    if (isOfficial) return true
    const whole = this.#entries.get(provider)
    if (whole?.state === 'trusted' && whole.address === address) return true
    return entry?.state === 'trusted' && unknownFields.every((field) => entry.fields.includes(field))
  }

  /** Behind another address is another server. */
  #entryOf(subject: Subject): Entry | undefined {
    const entry = this.#entries.get(nameOf(subject))
    return entry?.address === subject.address ? entry : undefined
  }

  #admission(subject: Subject, given: Omit<Admission, 'end'>): Admission {
    let isOpen = true
    return {
      ...given,
      end: (answered) => {
        if (!isOpen) return
        isOpen = false
        if (answered) this.#learn(subject, given, answered)
        if (given.isTrusted) return
        const name = nameOf(subject)
        const queue = this.#queueOf(name)
        queue.isBusy = false
        if (this.#entryOf(subject)?.state === 'refused' || this.#isTrusted(subject, this.#entryOf(subject))) {
          this.#queues.delete(name)
          queue.wakeAll()
        } else if (!queue.wakeNext()) this.#queues.delete(name)
      },
    }
  }

  #learn(subject: Subject, given: Omit<Admission, 'end'>, answered: Answered): void {
    const { bound, slack, added } = answered
    const known = this.#entryOf(subject)
    if (known?.state === 'refused') return
    const entry = known ?? this.#new(nameOf(subject), subject.address)
    const held = bound * given.factor
    const isOfInput = !given.isTrusted && added.tokens <= MAX_ADDED_TOKENS
    const claimed = answered.claimed - (isOfInput ? added.cost : 0)
    if (claimed > Math.max(held * MAX_OVERRUN, held + slack)) return this.#refuse(subject, entry, answered)
    const factor = Math.max(entry.factor, claimed / bound)
    const fields = [...new Set([...entry.fields, ...subject.unknownFields])].slice(0, MAX_FIELDS)
    const addedTokens = Math.max(
      given.addedTokens,
      isOfInput && added.tokens > 0 ? given.addedTokens + added.tokens : 0,
    )
    const isSame = entry.state === 'trusted' && factor === entry.factor && fields.length === entry.fields.length
    // Of the official servers only what went wrong is worth a row.
    if (isSame || (subject.isOfficial && factor === 1)) return
    this.#set({ ...entry, state: 'trusted', factor, fields, addedTokens })
  }

  #refuse({ provider, model }: Subject, entry: Entry, { agentId, callId, bound, claimed }: Answered): void {
    const overrun = { call_id: callId, agent_id: agentId, bound_usd: toUsd(bound), claimed_usd: toUsd(claimed) }
    const next: Entry = { ...entry, state: 'refused', since: isoTime(this.#clock.now()), overrun }
    this.#entries.set(next.name, next)
    this.#state.record(
      {
        type: 'model.refused',
        level: 'CRIT',
        agent_id: agentId,
        message: `${next.name} claims ${showUsd(overrun.claimed_usd)} for a call that could cost ${showUsd(overrun.bound_usd)}, and is refused from now on`,
        data: { name: next.name, provider, model, ...overrun },
      },
      () => this.#keep(next),
    )
  }

  #set(entry: Entry): void {
    // Names come from agents: what is not kept goes one at a time for ever.
    if (!this.#entries.has(entry.name) && this.#entries.size >= MAX_MODELS) return
    this.#entries.set(entry.name, entry)
    // What the disk does not take is learned once more after a restart.
    this.#store.groupCommit(
      () => this.#keep(entry),
      () => undefined,
    )
  }

  #keep(entry: Entry): void {
    this.#meta.put(PREFIX + entry.name, JSON.stringify(entry))
  }

  #new(name: string, address: string): Entry {
    return { name, address, state: 'new', since: isoTime(this.#clock.now()), factor: 1, overrun: null, fields: [] }
  }

  #queueOf(name: string): Queue {
    const queue = this.#queues.get(name) ?? new Queue()
    this.#queues.set(name, queue)
    return queue
  }
}

const PREFIX = 'trust.'

const shown = ({ address: _address, fields: _fields, addedTokens: _added, ...rest }: Entry): ModelTrust => rest

const nameOf = ({ provider, model }: Pick<Subject, 'provider' | 'model'>): string => `${provider}/${model}`

const refused = ({ name, overrun }: Entry): CageError =>
  new CageError(
    'model_refused',
    `${name} claimed ${showUsd(overrun?.claimed_usd ?? '0')} for a call that could cost ${showUsd(overrun?.bound_usd ?? '0')}, so nothing more is sent to it`,
    {
      facts: { model: name, call_id: overrun?.call_id ?? null },
      hint: `look at its bill; when it is right again an admin lets it go on with "iron-cage models trust ${name}"`,
    },
  )

/** Calls of which one goes at a time, first come first served. */
class Queue {
  isBusy = false
  readonly #waiting = new Set<() => void>()

  /** Resolves when it may be this one's turn. Rejects with the signal's reason when the client left. */
  turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = () => {
        this.#waiting.delete(wake)
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
        this.#waiting.delete(wake)
        reject(signal.reason)
      }
      if (signal.aborted) return reject(signal.reason)
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.add(wake)
    })
  }

  /** Returns false when nobody waits. */
  wakeNext(): boolean {
    const [next] = this.#waiting
    next?.()
    return next !== undefined
  }

  wakeAll(): void {
    for (const wake of [...this.#waiting]) wake()
  }
}
