/**
 * The texts of one streamed reply. A text arrives in pieces, at the same path of the same item in successive frames;
 * what is held back is sent with the next frame, or in a frame of its own that looks like the last one.
 */
import type { Redactions, Sse } from './dialect.ts'
import type { Json } from './json.ts'
import { alone, type Fields, type Leaf, pathOf, type Step, type TextPlace, TextWalk } from './texts.ts'

/** Makes a frame for the rest of a text. `template`: the dialect's data on the text's last frame. `rest`: the text. */
export type MakeFrame<Template> = (template: Template, rest: Json) => Sse

/** Shorter texts may be equal by chance, and be parts of one text. */
const MIN_REPEATED = 4

interface OpenText<Template> {
  item: string
  steps: readonly Step[]
  template: Template
}

interface FollowedText {
  received: string
  sent: string
}

export class StreamTexts<Template> {
  /** The text sent so far. */
  delivered = ''
  readonly #redact: Redactions
  readonly #makeFrame: MakeFrame<Template>
  readonly #walk: TextWalk
  readonly #open = new Map<string, OpenText<Template>>()
  /** Top-level fields of the previous frame, which mostly repeat. */
  readonly #last = new Map<string, string>()
  /** Texts that are signed when they are complete, as they came and as they were sent. */
  readonly #followed = new Map<string, FollowedText>()
  #mode: 'pieces' | 'whole' | 'again' = 'whole'
  #item = ''
  #template: Template | undefined
  #received = 0
  #emitted = 0
  #words = 0

  constructor(redact: Redactions, fields: Fields, makeFrame: MakeFrame<Template>) {
    this.#redact = redact
    this.#makeFrame = makeFrame
    this.#walk = new TextWalk(fields, {
      text: (text, leaf) => this.#text(text, leaf),
      tokens: () => true,
      tokenIds: (ids, found) => redact.tokenIds(ids, found),
      signature: (original) => (this.#mode === 'pieces' ? undefined : redact.signature(original)),
    })
  }

  /**
   * Redacts pieces of texts that continue in later frames. `item`: what they are part of. Returns undefined when there
   * is nothing to send: every text in the value is held back.
   */
  pieces(value: Json, item: string, template: Template, place: TextPlace = 'reply'): Json | undefined {
    this.#mode = 'pieces'
    this.#item = item
    this.#template = template
    this.#received = 0
    this.#emitted = 0
    this.#words = 0
    const safe = this.#walk.change(value, place)
    return this.#received > 0 && this.#emitted === 0 && this.#words === 0 ? undefined : safe
  }

  /** Redacts texts that are complete in this frame. `item`: what they are part of. */
  whole<T extends Json>(value: T, item = ''): T {
    this.#mode = 'whole'
    this.#item = item
    return this.#walk.change(value)
  }

  /** Registers the beginning of a text at these steps of an item, which was already sent. */
  began(item: string, steps: readonly Step[], text: string): void {
    this.#redact.began(`${item}/${pathOf(steps)}`, text)
  }

  /** Remembers an item's only text from now on. `before`: what came of it so far. (Default: nothing.) */
  follow(item: string, before = ''): void {
    if (!this.#followed.has(item)) this.#followed.set(item, { received: before, sent: '' })
  }

  /** Returns the original of a followed text that has ended; undefined if it was not changed. */
  changed(item: string): string | undefined {
    const text = this.#followed.get(item)
    this.#followed.delete(item)
    return text && text.received !== text.sent ? text.received : undefined
  }

  /** Redacts texts that repeat earlier pieces. */
  again<T extends Json>(value: T, item: string): T {
    this.#mode = 'again'
    this.#item = item
    return this.#walk.change(value)
  }

  /** Returns frames with the text held back of an item, or of all items. */
  end(item?: string): Sse[] {
    const frames: Sse[] = []
    for (const [channel, open] of this.#open) {
      if (item !== undefined && open.item !== item) continue
      this.#open.delete(channel)
      const rest = this.#redact.end(channel)
      this.delivered += rest
      const followed = this.#followed.get(open.item)
      if (followed) followed.sent += rest
      if (rest) frames.push(this.#makeFrame(open.template, alone(open.steps, rest)))
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
    if (open) open.template = this.#template!
    else this.#open.set(channel, { item: this.#item, steps: [...this.#walk.steps], template: this.#template! })
    this.delivered += safe
    const followed = this.#followed.get(this.#item)
    if (followed) {
      followed.received += text
      followed.sent += safe
    }
    this.#received++
    if (safe !== '') this.#emitted++
    return safe
  }
}
