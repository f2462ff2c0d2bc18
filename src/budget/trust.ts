/**
 * Whether a model is known to obey its token limit. A hold is only as good as that: a server that accepts `max_tokens`
 * but ignores it answers in full, for a hold of one token.
 *
 * The rules are:
 * - The official servers are trusted, and so are models that an admin trusts. Any other model of any other provider is
 *   trusted after a first answer within its hold; until then each call is held at the maximum cost of the model. Calls
 *   run in parallel while the budget can pay for each of them so; a call that it cannot pay so runs alone.
 * - After that, as many calls are held at their own limits as there were answers within them, and one more: a first
 *   answer may have been short by itself. Further calls are held at the maximum, or queue.
 * - Input beyond its request in the first answer (a template, the server's own system prompt) does not end the trust:
 *   it is added to the input of later holds, up to a bound.
 * - A tier that the reply names although none was asked for is no overrun, if its price is known: later calls are held at it.
 * - A request with an unknown field counts as a first call again, until an answer with that field was within its hold.
 * - A charge above its hold is posted. An excess of up to a tenth, or the price of two tokens, is added to later holds
 *   of that model. Above that the model is refused for this agent until an admin trusts it, and the agent's other calls
 *   in progress are ended. Others go on: their calls are held at the maximum, after any answer. A server that
 *   misreports overruns a budget once, by one call, and by the answers before that was detected.
 * - Trust is stored with the provider's base URL: another URL is another server.
 *
 * Rejected alternative: to hold every call at the maximum cost of its model. That is also safe, but five parallel calls
 * of an expensive model would then hold a budget of $10.
 */
import { type Clock, isoTime } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import type { AgentId, CallId } from '../core/ids.ts'
import { type Nanodollars, showUsd, toUsd, type Usd, ZERO_USD } from '../core/money.ts'
import { WaitingList } from '../core/waiting-list.ts'
import type { Store } from '../db/store.ts'
import type { MetaTable } from '../db/tables/meta.ts'
import type { StateManager } from '../state/state-manager.ts'

/** A call above this multiple of its hold ends the trust. */
const MAX_OVERRUN = 1.1
/** Maximum tokens that a server may read in addition to a request. */
const MAX_ADDED_TOKENS = 4_096
/** A model that an admin trusts again is held at its overrun from then on, up to this multiple of the bound. */
const MAX_TRUSTED_FACTOR = 2
/** Maximum models stored; agents choose the names. */
const MAX_MODELS = 5_000
/** Maximum unknown fields stored per model. */
const MAX_FIELDS = 100
/** Maximum agents stored per model that is refused for them. */
const MAX_REFUSED = 1_000
/** Maximum of counted answers: no provider has more calls in progress than this. */
const MAX_OBEYED = 1_024
/** Calls of one model that wait for their turn, across all agents. */
export const MAX_WAITING = 1_024

/** The target of a call, and whose call it is. */
export interface CallTarget {
  agentId: AgentId
  provider: string
  model: string
  /** The provider's base URL. */
  address: string
  /** The vendor's own server. */
  isOfficial: boolean
  unknownFields: readonly string[]
}

/** The permission to send a call. */
export interface ModelAdmission {
  /** False: it must be held at the maximum cost of the model. */
  readonly isTrusted: boolean
  /** The hold is multiplied by this: 1 to 1.1. */
  readonly factor: number
  /** Tokens that the server is known to read in addition to a request. */
  readonly addedTokens: number
  /** Terms that the model is known to be served on unasked. */
  readonly terms: readonly string[]
  /** Other calls of the model run beside it: it must be held at the maximum cost, or not be sent. */
  readonly isBesideOthers: boolean
  /** Ends it; idempotent. `answered` is omitted for a call that nothing is learned from. */
  end(answered?: Answered): void
}

/** Ends a call with this error. */
type Cancel = (reason: CageError) => void

export interface Answered {
  agentId: AgentId
  callId: CallId
  /** The maximum cost within the limits that were sent, not 0; without the factor. */
  bound: Nanodollars
  /** The cost of a token or two that servers count in addition to an answer; tolerated. */
  slack: Nanodollars
  /** Tokens read beyond the bound, and their cost. */
  added: { tokens: number; cost: Nanodollars }
  /** The cost that the provider reports, without the terms below. */
  claimed: Nanodollars
  /** Terms with a known price that the reply names although the request did not. */
  terms: readonly string[]
}

/** The trust in one model of one provider. */
export interface ModelTrust {
  /** "provider/model", or the provider alone for all of its models. */
  name: string
  state: 'new' | 'trusted' | 'refused'
  /** ISO 8601 UTC. */
  since: string
  /** Later holds are multiplied by it. */
  factor: number
  /** The overrun that it is refused for. */
  overrun: { call_id: string; agent_id: string; bound_usd: Usd; claimed_usd: Usd } | null
}

interface TrustEntry extends ModelTrust {
  address: string
  fields: string[]
  /** Answers within their limits so far; null if an admin trusts it. */
  obeyed: number | null
  terms?: readonly string[]
  /** The agents whose holds it has overrun. */
  refusedFor?: AgentId[]
  addedTokens?: number
}

export class Trust {
  readonly #state: StateManager
  readonly #clock: Pick<Clock, 'now'>
  readonly #store: Store
  readonly #meta: MetaTable
  readonly #entries = new Map<string, TrustEntry>()
  /** Calls of models that are not trusted yet, by name; one at a time. */
  readonly #first = new Map<string, Line>()
  /** Calls of models that have obeyed so far. */
  readonly #later = new Map<string, Line>()

  constructor({ store, state, clock }: { store: Store; state: StateManager; clock: Pick<Clock, 'now'> }) {
    this.#state = state
    this.#clock = clock
    this.#store = store
    this.#meta = store.meta
    for (const { value } of this.#meta.find(PREFIX)) {
      const entry: TrustEntry = { obeyed: null, ...JSON.parse(value) }
      this.#entries.set(entry.name, entry)
    }
  }

  /** Returns all models, by name. */
  list(): ModelTrust[] {
    return [...this.#entries.values()].map(shown).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /**
   * Admits a call, `mustWait` only when it is its turn: another one that must be held at the maximum may run beside others.
   * `cancel`: ends it if its model is refused for the agent in the meantime. Throws CageError `model_refused`,
   * `too_many_streams` when too many wait, and the signal's reason when the client left.
   */
  async enter(target: CallTarget, signal: AbortSignal, cancel: Cancel, mustWait = false): Promise<ModelAdmission> {
    const subject = { ...target, name: nameOf(target) }
    for (;;) {
      const entry = this.#entryOf(subject)
      if (isRefusedFor(subject.agentId, entry)) throw refused(entry!)
      const isTrusted = this.#isTrusted(subject, entry)
      const { factor = 1, addedTokens = 0, terms = [] } = entry ?? {}
      const given = { isTrusted, factor, addedTokens, terms, isBesideOthers: false }
      if (isTrusted && this.#isUnbounded(subject, entry)) return this.#admission(subject, given)
      const line = this.#lineOf(subject, isTrusted)
      if (line.running.size < this.#roomOf(subject, isTrusted)) return this.#admission(subject, given, line, cancel)
      if (!mustWait) {
        const beside = { ...given, isTrusted: false, isBesideOthers: true }
        return this.#admission(subject, beside, this.#lineOf(subject, false), cancel)
      }
      await line.turn(subject, signal)
    }
  }

  /**
   * Trusts "provider/model", or all models of a provider that are not refused. `by`: who trusts it. `address`: the
   * provider's base URL.
   */
  trust(name: string, address: string, by: string): ModelTrust {
    const known = this.#entries.get(name)
    const overrun = known?.overrun ? Number(known.overrun.claimed_usd) / Number(known.overrun.bound_usd) : 1
    const factor = overrun <= MAX_TRUSTED_FACTOR ? Math.max(overrun, known?.factor ?? 1) : 1
    const entry: TrustEntry = {
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
        message: `${by} trusts ${name} to obey its limits`,
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

  #isTrusted({ provider, address, isOfficial, unknownFields }: CallTarget, entry: TrustEntry | undefined): boolean {
    if (isOfficial || this.#isWholeTrusted(provider, address)) return true
    return entry?.state === 'trusted' && unknownFields.every((field) => entry.fields.includes(field))
  }

  /** True without a bound on parallel calls. */
  #isUnbounded({ provider, address, isOfficial }: CallTarget, entry: TrustEntry | undefined): boolean {
    return isOfficial || entry?.obeyed === null || this.#isWholeTrusted(provider, address)
  }

  #isWholeTrusted(provider: string, address: string): boolean {
    const whole = this.#entries.get(provider)
    return whole?.state === 'trusted' && whole.address === address
  }

  /** Returns how many calls may run in parallel. */
  #roomOf(subject: Subject, isTrusted: boolean): number {
    const entry = this.#entryOf(subject)
    // Waiting calls are refused, or change lines.
    if (isRefusedFor(subject.agentId, entry) || this.#isTrusted(subject, entry) !== isTrusted) {
      return Number.POSITIVE_INFINITY
    }
    return isTrusted ? (entry?.obeyed ?? 0) + 1 : 1
  }

  /** Another URL is another server. */
  #entryOf(subject: Subject): TrustEntry | undefined {
    const entry = this.#entries.get(subject.name)
    return entry?.address === subject.address ? entry : undefined
  }

  #admission(
    subject: Subject,
    given: Omit<ModelAdmission, 'end'>,
    line?: Line,
    cancel: Cancel = () => undefined,
  ): ModelAdmission {
    let isOpen = true
    line?.running.set(cancel, subject.agentId)
    return {
      ...given,
      end: (answered) => {
        if (!isOpen) return
        isOpen = false
        line?.running.delete(cancel)
        if (answered) this.#learn(subject, given, answered)
        line?.wake(this.#roomOf(subject, given.isTrusted) - line.running.size)
        if (line?.isEmpty) (given.isTrusted ? this.#later : this.#first).delete(subject.name)
      },
    }
  }

  #learn(subject: Subject, given: Omit<ModelAdmission, 'end'>, answered: Answered): void {
    const { bound, slack, added } = answered
    const known = this.#entryOf(subject)
    if (isRefusedFor(answered.agentId, known)) return
    const entry = known ?? this.#new(subject.name, subject.address)
    const held = bound * given.factor
    const isOfInput = !given.isTrusted && added.tokens <= MAX_ADDED_TOKENS
    const claimed = answered.claimed - (isOfInput ? added.cost : 0)
    if (claimed > Math.max(held * MAX_OVERRUN, held + slack)) return this.#refuse(subject, entry, answered)
    // It obeys some, but not all.
    if (entry.state === 'refused') return
    const factor = Math.max(entry.factor, claimed / bound)
    const fields = [...new Set([...entry.fields, ...subject.unknownFields])].slice(0, MAX_FIELDS)
    const addedTokens = Math.max(
      given.addedTokens,
      isOfInput && added.tokens > 0 ? given.addedTokens + added.tokens : 0,
    )
    const terms = [...new Set([...(entry.terms ?? []), ...answered.terms])]
    const isSame =
      entry.state === 'trusted' &&
      factor === entry.factor &&
      fields.length === entry.fields.length &&
      terms.length === (entry.terms?.length ?? 0)
    // For official servers only overruns are stored.
    if (subject.isOfficial && factor === 1 && terms.length === 0) return
    const obeyed = entry.obeyed === null ? null : Math.min(entry.obeyed + 1, MAX_OBEYED)
    const next: TrustEntry = { ...entry, state: 'trusted', factor, fields, addedTokens, terms, obeyed }
    // Not stored for each answer: a restart forgets up to half of them.
    if (isSame && !isPowerOfTwo(obeyed)) this.#entries.set(next.name, next)
    else if (!isSame || obeyed !== entry.obeyed) this.#set(next)
  }

  #refuse({ name, provider, model }: Subject, entry: TrustEntry, { agentId, callId, bound, claimed }: Answered): void {
    const overrun = { call_id: callId, agent_id: agentId, bound_usd: toUsd(bound), claimed_usd: toUsd(claimed) }
    const refusedFor = [...(entry.refusedFor ?? []), agentId].slice(-MAX_REFUSED)
    const next: TrustEntry = { ...entry, state: 'refused', since: isoTime(this.#clock.now()), overrun, refusedFor }
    this.#entries.set(next.name, next)
    this.#state.record(
      {
        type: 'model.refused',
        level: 'CRIT',
        agent_id: agentId,
        message: `${next.name} reported ${showUsd(overrun.claimed_usd)} for a call that could cost at most ${showUsd(overrun.bound_usd)}, and is refused for this agent from now on`,
        data: { name: next.name, provider, model, ...overrun },
      },
      () => this.#keep(next),
    )
    // They are charged like calls whose client left: their answers have no receiver.
    const running = [...(this.#first.get(name)?.running ?? []), ...(this.#later.get(name)?.running ?? [])]
    for (const [cancel, caller] of running) if (caller === agentId) cancel(refused(next))
  }

  #set(entry: TrustEntry): void {
    // Bounded, since agents choose the names: calls of further models always run one at a time.
    if (!this.#entries.has(entry.name) && this.#entries.size >= MAX_MODELS) return
    this.#entries.set(entry.name, entry)
    // If the write fails, the model is learned again after a restart.
    this.#store.groupCommit(
      () => this.#keep(entry),
      () => undefined,
    )
  }

  #keep(entry: TrustEntry): void {
    this.#meta.put(PREFIX + entry.name, JSON.stringify(entry))
  }

  #new(name: string, address: string): TrustEntry {
    const since = isoTime(this.#clock.now())
    return { name, address, state: 'new', since, factor: 1, overrun: null, fields: [], obeyed: 0 }
  }

  #lineOf({ name }: Subject, isTrusted: boolean): Line {
    const lines = isTrusted ? this.#later : this.#first
    const known = lines.get(name)
    if (known) return known
    const line = new Line()
    lines.set(name, line)
    return line
  }
}

/** `name`: "provider/model". */
type Subject = CallTarget & { name: string }

const PREFIX = 'trust.'

const shown = ({
  address: _address,
  fields: _fields,
  addedTokens: _added,
  obeyed: _obeyed,
  terms: _terms,
  refusedFor: _refusedFor,
  ...rest
}: TrustEntry): ModelTrust => rest

const isPowerOfTwo = (count: number | null): boolean => count !== null && (count & (count - 1)) === 0

/** An overrun of a version that did not note whose it was is one of everybody. */
const isRefusedFor = (agentId: AgentId, entry: TrustEntry | undefined): boolean =>
  entry?.state === 'refused' && (entry.refusedFor?.includes(agentId) ?? true)

const tooManyWaiting = (subject: Subject): CageError =>
  new CageError('too_many_streams', `${subject.agentId} has reached its share of calls waiting for ${subject.name}`, {
    facts: { agent_id: subject.agentId, model: subject.name, max: MAX_WAITING },
    hint: `make fewer calls in parallel until the model has proved that it obeys its limits; an admin can trust it with "iron-cage models trust ${subject.name}"`,
    retryAfterS: 1,
  })

const nameOf = ({ provider, model }: Pick<CallTarget, 'provider' | 'model'>): string => `${provider}/${model}`

const refused = ({ name, overrun }: TrustEntry): CageError =>
  new CageError(
    'model_refused',
    `${name} reported ${showUsd(overrun?.claimed_usd ?? ZERO_USD)} for a call that could cost at most ${showUsd(overrun?.bound_usd ?? ZERO_USD)}, so no calls are sent to it`,
    {
      facts: { model: name, call_id: overrun?.call_id ?? null },
      hint: `check its bill; an admin can allow it again with "iron-cage models trust ${name}"`,
    },
  )

/** A bounded number of calls at a time, first come first served. */
class Line {
  /** The cancel functions of running calls, and whose these are. */
  readonly running = new Map<Cancel, AgentId>()
  readonly #waiting = new WaitingList<Subject>(MAX_WAITING)

  /**
   * Resolves when it may be the call's turn. Throws CageError `too_many_streams`, and the signal's reason when the
   * client left.
   */
  async turn(subject: Subject, signal: AbortSignal): Promise<void> {
    if (!this.#waiting.hasRoomFor(subject.agentId)) throw tooManyWaiting(subject)
    await this.#waiting.wait(subject, signal)
  }

  get isEmpty(): boolean {
    return this.running.size === 0 && this.#waiting.length === 0
  }

  /** Wakes as many waiting calls as there is room for. */
  wake(room: number): void {
    for (const { release } of [...this.#waiting].slice(0, Math.max(0, room))) release()
  }
}
