/**
 * The texts of one streamed answer. A text comes in pieces, at the same path of the same item of one frame after the
 * other; what is held back of it leaves in the next frame, or in a frame of its own that looks like the last one.
 */
import type { Redactions, Sse, TextPlace } from './dialect.ts'
import type { Json } from './json.ts'
import { alone, type Fields, type Leaf, pathOf, type Step, TextWalk } from './texts.ts'

/** A frame for the rest of a text. `like`: what the dialect said of the frame of its last piece. `rest`: the text alone. */
export type MakeFrame<Like> = (like: Like, rest: Json) => Sse

/** Shorter ones may be equal by chance, and belong together. */
const MIN_REPEATED = 4

interface OpenText<Like> {
  item: string
  steps: readonly Step[]
  like: Like
}

export class StreamTexts<Like> {
  /** What was delivered so far. */
  delivered = ''
  readonly #redact: Redactions
  readonly #makeFrame: MakeFrame<Like>
  readonly #walk: TextWalk
  readonly #open = new Map<string, OpenText<Like>>()
  /** Top fields of the frame before, which mostly come again. */
  readonly #last = new Map<string, string>()
  #mode: 'pieces' | 'whole' | 'again' = 'whole'
  #item = ''
  #like: Like | undefined
  #heard = 0
  #said = 0
  #words = 0

  constructor(redact: Redactions, fields: Fields, makeFrame: MakeFrame<Like>) {
    this.#redact = redact
    this.#makeFrame = makeFrame
    this.#walk = new TextWalk(fields, {
      text: (text, leaf) => this.#text(text, leaf),
      tokens: () => true,
    })
  }

  /**
   * Pieces of texts, which go on in later frames. `item`: what they are part of. Returns undefined when there is nothing
   * left to say: every text in it is held back.
   */
  pieces(value: Json, item: string, like: Like, place: TextPlace = 'reply'): Json | undefined {
    this.#mode = 'pieces'
    this.#item = item
    this.#like = like
    this.#heard = 0
    this.#said = 0
    this.#words = 0
    const safe = this.#walk.change(value, place)
    return this.#heard > 0 && this.#said === 0 && this.#words === 0 ? undefined : safe
  }

  /** Texts that are complete in this frame. `item`: what they are part of. */
  whole<T extends Json>(value: T, item = ''): T {
    this.#mode = 'whole'
    this.#item = item
    return this.#walk.change(value)
  }

  /** The text at these steps of an item has begun with this one, which has left. */
  began(item: string, steps: readonly Step[], text: string): void {
    this.#redact.began(`${item}/${pathOf(steps)}`, text)
  }

  /** Texts that repeat what came in pieces. */
  again<T extends Json>(value: T, item: string): T {
    this.#mode = 'again'
    this.#item = item
    return this.#walk.change(value)
  }

  /** What is held back of an item, in frames of its own; of all items when none is named. */
  end(item?: string): Sse[] {
    const frames: Sse[] = []
    for (const [channel, open] of this.#open) {
      if (item !== undefined && open.item !== item) continue
      this.#open.delete(channel)
      const rest = this.#redact.end(channel)
      this.delivered += rest
      if (rest) frames.push(this.#makeFrame(open.like, alone(open.steps, rest)))
    }
    return frames
  }

  #text(text: string, leaf: Leaf): string {
    const { steps } = this.#walk
    const name = steps.at(-1)
    if (leaf.kind === 'word' && name !== 'type') this.#words++
    const isTop = steps.length === 1 && typeof name === 'string' && this.#item === ''
    if (isTop && this.#last.get(name) === text) return text
    const channel = `${this.#item}/${pathOf(steps)}`
    const isPiece = leaf.kind === 'text' || (leaf.kind === 'word' && this.#open.has(channel))
    if (this.#mode === 'pieces' && isPiece) return this.#piece(channel, text, leaf.place)
    const safe = this.#redact.next(channel, text, leaf, this.#mode === 'again')
    if (isTop && safe === text && text.length >= MIN_REPEATED) this.#last.set(name, text)
    return safe
  }

  #piece(channel: string, text: string, place: TextPlace): string {
    const safe = this.#redact.push(channel, text, place)
    const open = this.#open.get(channel)
    if (open) open.like = this.#like!
    else this.#open.set(channel, { item: this.#item, steps: [...this.#walk.steps], like: this.#like! })
    this.delivered += safe
    this.#heard++
    if (safe !== '') this.#said++
    return safe
  }
}
