/**
 * Whether a provider's model is known to obey the limit that it is sent. A hold is as good as that: a server that reads
 * `max_tokens` only answers in full what was held for one token.
 *
 * The rules are:
 * - The official servers are known to obey, and so is what an admin trusts. Any other model of any other provider is after
 *   a first answer within what was held for its limit; until then its calls go one at a time, each held at the most that
 *   the model can cost.
 * - After that as many of its calls are on their way at once as it has answered within their limits, and one more: a first
 *   answer may have been short by itself. The others wait for their turn.
 * - What the first answer read beyond its request (a template, a system prompt of the server's own) is no disobedience: it
 *   is added to the input of later holds, up to a bound.
 * - A request with a field that nobody here knows is such a call again, until an answer with that field was within its hold.
 * - What was charged above a hold is posted. Up to a tenth of it, or the price of two tokens, is added to later holds of
 *   that model; with more the model is refused until an admin trusts it, and its other calls that are on their way are
 *   ended. A server that lies overruns once, by one call, and by what it had answered already when that was seen.
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
/** Answers within their limits that are counted: more calls than this are never on their way to one provider. */
const MAX_OBEYED = 1_024

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

/** Ends a call, for this reason. */
type Cancel = (reason: CageError) => void

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
  /** Answers within their limits so far; null where an admin's word stands for them. */
  obeyed: number | null
  addedTokens?: number
}

export class Trust {
  readonly #state: StateManager
  readonly #clock: Pick<Clock, 'now'>
  readonly #store: Store
  readonly #meta: MetaTable
  readonly #entries = new Map<string, Entry>()
  /** Calls of models that are not known yet, by name; one at a time. */
  readonly #first = new Map<string, Line>()
  /** Calls of models that have obeyed so far. */
  readonly #later = new Map<string, Line>()

  constructor({ store, state, clock }: { store: Store; state: StateManager; clock: Pick<Clock, 'now'> }) {
    this.#state = state
    this.#clock = clock
    this.#store = store
    this.#meta = store.meta
    for (const { value } of this.#meta.find(PREFIX)) {
      const entry: Entry = { obeyed: null, ...JSON.parse(value) }
      this.#entries.set(entry.name, entry)
    }
  }

  /** What is known, in the order of names. */
  list(): ModelTrust[] {
    return [...this.#entries.values()].map(shown).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /**
   * Admits a call, as soon as it is its turn. `cancel`: ends it when its model is refused meanwhile. Throws CageError
   * `model_refused`, and the signal's reason when the client left.
   */
  async enter(subject: Subject, signal: AbortSignal, cancel: Cancel): Promise<Admission> {
    for (;;) {
      const entry = this.#entryOf(subject)
      if (entry?.state === 'refused') throw refused(entry)
      const isTrusted = this.#isTrusted(subject, entry)
      const { factor = 1, addedTokens = 0 } = entry ?? {}
      const given = { isTrusted, factor, addedTokens }
      if (isTrusted && this.#isVouchedFor(subject, entry)) return this.#admission(subject, given)
      const line = this.#lineOf(subject, isTrusted)
      if (line.running.size < this.#roomOf(subject, isTrusted)) return this.#admission(subject, given, line, cancel)
      await line.turn(signal)
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
    const entry: Entry = {
      ...this.#new(name, address),
      state: 'trusted',
      factor,
      fields: known?.fields ?? [],
      obeyed: null,
    }
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
    for (const [queued, line] of [...this.#first, ...this.#later]) {
      if (queued === name || queued.startsWith(`${name}/`)) line.wake(Number.POSITIVE_INFINITY)
    }
    return shown(entry)
  }

  #isTrusted({ provider, address, isOfficial, unknownFields }: Subject, entry: Entry | undefined): boolean {
    if (isOfficial || this.#isWholeTrusted(provider, address)) return true
    return entry?.state === 'trusted' && unknownFields.every((field) => entry.fields.includes(field))
  }

  /** As many of its calls may go at once as there are. */
  #isVouchedFor({ provider, address, isOfficial }: Subject, entry: Entry | undefined): boolean {
    return isOfficial || entry?.obeyed === null || this.#isWholeTrusted(provider, address)
  }

  #isWholeTrusted(provider: string, address: string): boolean {
    const whole = this.#entries.get(provider)
    return whole?.state === 'trusted' && whole.address === address
  }

  /** How many calls may be on their way at once. */
  #roomOf(subject: Subject, isTrusted: boolean): number {
    const entry = this.#entryOf(subject)
    // Whoever waits is refused, or waits no longer.
    if (entry?.state === 'refused' || this.#isTrusted(subject, entry) !== isTrusted) return Number.POSITIVE_INFINITY
    return isTrusted ? (entry?.obeyed ?? 0) + 1 : 1
  }

  /** Behind another address is another server. */
  #entryOf(subject: Subject): Entry | undefined {
    const entry = this.#entries.get(nameOf(subject))
    return entry?.address === subject.address ? entry : undefined
  }

  #admission(
    subject: Subject,
    given: Omit<Admission, 'end'>,
    line?: Line,
    cancel: Cancel = () => undefined,
  ): Admission {
    let isOpen = true
    line?.running.add(cancel)
    return {
      ...given,
      end: (answered) => {
        if (!isOpen) return
        isOpen = false
        line?.running.delete(cancel)
        if (answered) this.#learn(subject, given, answered)
        line?.wake(this.#roomOf(subject, given.isTrusted) - line.running.size)
        if (line?.isEmpty) (given.isTrusted ? this.#later : this.#first).delete(nameOf(subject))
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
    if (subject.isOfficial && factor === 1) return
    const obeyed = entry.obeyed === null ? null : Math.min(entry.obeyed + 1, MAX_OBEYED)
    const next: Entry = { ...entry, state: 'trusted', factor, fields, addedTokens, obeyed }
    // A row for each answer would be too many: after a restart it is up to half of them.
    if (isSame && !isPowerOfTwo(obeyed)) this.#entries.set(next.name, next)
    else if (!isSame || obeyed !== entry.obeyed) this.#set(next)
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
    // They are charged like calls whose client leaves: what they cost nobody hears any more.
    const name = nameOf({ provider, model })
    const running = [...(this.#first.get(name)?.running ?? []), ...(this.#later.get(name)?.running ?? [])]
    for (const cancel of running) cancel(refused(next))
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
    const since = isoTime(this.#clock.now())
    return { name, address, state: 'new', since, factor: 1, overrun: null, fields: [], obeyed: 0 }
  }

  #lineOf(subject: Subject, isTrusted: boolean): Line {
    const lines = isTrusted ? this.#later : this.#first
    const line = lines.get(nameOf(subject)) ?? new Line()
    lines.set(nameOf(subject), line)
    return line
  }
}

const PREFIX = 'trust.'

const shown = ({
  address: _address,
  fields: _fields,
  addedTokens: _added,
  obeyed: _obeyed,
  ...rest
}: Entry): ModelTrust => rest

const isPowerOfTwo = (count: number | null): boolean => count !== null && (count & (count - 1)) === 0

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

/** Calls of which so many go at a time, first come first served. */
class Line {
  /** What ends each of those that are on their way. */
  readonly running = new Set<Cancel>()
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

  get isEmpty(): boolean {
    return this.running.size === 0 && this.#waiting.size === 0
  }

  /** Wakes as many as there is room for. */
  wake(room: number): void {
    for (const wake of [...this.#waiting].slice(0, Math.max(0, room))) wake()
  }
}
