/**
 * The frames of one streamed reply and their texts. A text that a dialect names as arriving in pieces is read on across
 * frames; any other is whole in its frame. A frame waits until all its pieces are certain, and is sent as it came if
 * nothing in it was found: frames are never added, left out or put together.
 */
import type { Piece, Redactions, Sse } from './dialect.ts'
import type { Json, JsonObject } from './json.ts'
import { rewriteJson } from './rewrite-json.ts'
import {
  type Fields,
  type Leaf,
  pathOf,
  type Step,
  type TextPlace,
  TextWalk,
  withoutTokens,
  withValueAt,
} from './texts.ts'

/** How a frame is read. */
export interface Reading {
  /** What its texts are part of. (Default: the stream.) */
  item?: string
  /** The texts that arrive in pieces, by their path. (Default: none.) */
  pieces?: RegExp
  /** The channel of a text in pieces that goes on at another place. (Default: its item and path.) */
  channelOf?: (steps: readonly Step[]) => string
  /** Its texts repeat earlier pieces. (Default: they are new.) */
  isRepeated?: boolean
  /** The place of its texts in pieces. (Default: a reply, unless their field decides otherwise.) */
  place?: TextPlace
}

/** A text that is not certain yet, and where it stands. */
interface HeldText {
  steps: readonly Step[]
  text: string
  piece: Piece
  /** What stands there instead if it is changed. (Default: the piece.) */
  instead?: Json
}

interface HeldFrame {
  frame: Sse
  parsed: JsonObject
  /** The text sent, as far as that is certain. */
  value: JsonObject
  texts: HeldText[]
}

interface FollowedText {
  before: string
  pieces: HeldText[]
}

export class StreamTexts {
  /** The text in pieces that was sent so far. */
  delivered = ''
  readonly #redact: Redactions
  readonly #walk: TextWalk
  readonly #turnOf: ((channel: string) => string) | undefined
  readonly #held: HeldFrame[] = []
  #heldCharacters = 0
  /** Channels of texts that have not ended. */
  readonly #open = new Set<string>()
  /** Top-level fields of the previous frame, which mostly repeat. */
  readonly #last = new Map<string, string>()
  /** Texts that are signed when they are complete. */
  readonly #followed = new Map<string, FollowedText>()
  #reading: Reading = {}
  #texts: HeldText[] = []
  #channels = new Set<string>()

  /**
   * `turnOf`: of the channels for which it returns the same, one text follows another: it has ended when a frame has
   * only another one. (Default: a text has an end.)
   */
  constructor(redact: Redactions, fields: Fields, turnOf?: (channel: string) => string) {
    this.#redact = redact
    this.#turnOf = turnOf
    this.#walk = new TextWalk(fields, {
      text: (text, leaf) => this.#text(text, leaf),
      tokens: (joined, place, tokens) => this.#tokens(joined, place, tokens),
      tokenIds: (ids, found) => redact.tokenIds(ids, found),
      signature: (original) => redact.signature(original),
    })
  }

  /** Takes a frame, whose data is `parsed`; `value`: the part sent of it. (Default: all.) */
  add(frame: Sse, parsed: JsonObject, reading: Reading = {}, value = parsed): void {
    this.#reading = reading
    this.#texts = []
    this.#channels = new Set()
    const safe = this.#walk.change(value)
    this.#hold({ frame, parsed, value: safe, texts: this.#texts })
    this.#endOthers()
    // No stream has so much between two parts of a text.
    if (this.#heldCharacters > MAX_HELD_CHARACTERS) this.end()
  }

  /** Takes a frame without a text. */
  addMark(frame: Sse): void {
    const nothing = {}
    this.#hold({ frame, parsed: nothing, value: nothing, texts: [] })
  }

  /** Returns the frames that may be sent by now, in order. */
  take(): Sse[] {
    const frames: Sse[] = []
    while (this.#held[0]?.texts.every(({ piece }) => piece.safe !== undefined))
      frames.push(this.#sent(this.#held.shift()!))
    return frames
  }

  /** The texts of these channels have ended. (Default: all texts.) */
  end(prefix = ''): void {
    for (const channel of this.#open) if (channel.startsWith(prefix)) this.#end(channel)
  }

  /** Registers the beginning of a text in pieces, which is whole in its own frame. */
  began(channel: string, text: string): void {
    this.#redact.began(channel, text)
  }

  /** Remembers an item's only text from now on. `before`: what came of it so far. (Default: nothing.) */
  follow(item: string, before = ''): void {
    if (!this.#followed.has(item)) this.#followed.set(item, { before, pieces: [] })
  }

  /** Returns the original of a followed text that has ended; undefined if it was not changed. */
  changed(item: string): string | undefined {
    const { before, pieces } = this.#followed.get(item) ?? { before: '', pieces: [] }
    this.#followed.delete(item)
    return pieces.some(isChanged) ? before + pieces.map(({ text }) => text).join('') : undefined
  }

  #hold(held: HeldFrame): void {
    this.#held.push(held)
    this.#heldCharacters += held.frame.data.length
  }

  #sent({ frame, parsed, value, texts }: HeldFrame): Sse {
    this.#heldCharacters -= frame.data.length
    let safe: Json = value
    for (const held of texts) {
      if (!('instead' in held)) this.delivered += held.piece.safe
      if (isChanged(held))
        safe = withValueAt(safe, held.steps, held.instead === undefined ? held.piece.safe! : held.instead)
    }
    return safe === parsed ? frame : { ...frame, data: rewriteJson(frame.data, parsed, safe) }
  }

  #text(text: string, leaf: Leaf): string {
    const { steps } = this.#walk
    const { item = '', pieces, channelOf, isRepeated = false } = this.#reading
    const name = steps.at(-1)
    const isTop = steps.length === 1 && typeof name === 'string' && item === ''
    if (isTop && this.#last.get(name) === text) return text
    const path = pathOf(steps)
    const channel = `${item}/${path}`
    const isPiece = IN_PIECES.has(leaf.kind) && pieces?.test(path) === true
    if (isPiece) this.#piece(channelOf?.(steps) ?? channel, text, this.#reading.place ?? leaf.place)
    // What goes on at another place may also be joined with what stands at this one.
    if (isPiece && !(channelOf && isLater(steps))) return text
    const safe = this.#redact.next(channel, text, leaf, isRepeated || isPiece)
    if (isTop && safe === text && text.length >= MIN_REPEATED) this.#last.set(name, text)
    return safe
  }

  #piece(channel: string, text: string, place: TextPlace): void {
    const held = this.#push(channel, text, place)
    this.#followed.get(this.#reading.item ?? '')?.pieces.push(held)
  }

  #push(channel: string, text: string, place: TextPlace): HeldText {
    const held: HeldText = { steps: [...this.#walk.steps], text, piece: this.#redact.push(channel, text, place) }
    this.#open.add(channel)
    this.#channels.add(channel)
    this.#texts.push(held)
    return held
  }

  /** Tokens spell a text that may be found in no single one of them. */
  #tokens(joined: ReadonlyMap<string, string>, place: TextPlace, tokens: Json): 'kept' {
    const base = `${this.#reading.item ?? ''}/${pathOf(this.#walk.steps)}`
    for (const [path, text] of joined) this.#push(base + path, text, place).instead = withoutTokens(tokens)
    return 'kept'
  }

  #endOthers(): void {
    if (!this.#turnOf || this.#channels.size === 0 || this.#channels.size === this.#open.size) return
    const turns = new Set([...this.#channels].map(this.#turnOf))
    for (const channel of this.#open)
      if (!this.#channels.has(channel) && turns.has(this.#turnOf(channel))) this.#end(channel)
  }

  #end(channel: string): void {
    this.#open.delete(channel)
    this.#redact.end(channel)
  }
}

/** Not in the first item of a list within another one. */
const isLater = (steps: readonly Step[]): boolean =>
  steps.slice(2).some((step) => typeof step !== 'string' && step.position > 0)

const isChanged = ({ piece, text }: HeldText): boolean => piece.safe !== text

/** Of frames that wait. */
const MAX_HELD_CHARACTERS = 1024 * 1024
/** Shorter texts may be equal by chance, and be parts of one text. */
const MIN_REPEATED = 4

const IN_PIECES: ReadonlySet<Leaf['kind']> = new Set(['text', 'word', 'blob'])
