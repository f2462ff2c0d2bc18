/**
 * Walks JSON from outside and visits every text in it: strings, field names, numbers and byte lists that spell a text,
 * texts in several parts. Only a dialect's short list of opaque fields is not read, and only while their value has the
 * expected shape.
 */
import { isObject, isRawNumber, type Json, type JsonObject, MAX_DEPTH } from './json.ts'

/** A dialect's knowledge of its fields, by name, at any depth. */
export interface Fields {
  /** Names of the dialect itself: never changed, and no label for the value below them. */
  names: ReadonlySet<string>
  /** Fields without prose, with the shape that their value must have. */
  opaque: Readonly<Record<string, Shape>>
  /** Fields that contain the input of tools. */
  tools: ReadonlySet<string>
  /** Types or names of objects that stay unchanged if their signature has the right shape. (Default: none.) */
  signed?: ReadonlySet<string>
  /** Fields at the top with token ids that clients send back: their conversation so far. (Default: none.) */
  returned?: ReadonlySet<string>
}

/**
 * `word`: one identifier, e.g. an id, a model name or a time. It is read, but is not a piece of a longer text.
 * `sealed`: readable only by its issuer, who would refuse a changed one. `media`: an image, audio or document in
 * base64. The last two are searched only for values known to be secret.
 */
export type Shape = 'word' | 'sealed' | 'media'

/** `bytes`: a text that a list of bytes spells. */
export type Kind = 'text' | 'word' | 'blob' | 'number' | 'name' | 'bytes'

/** The place of a text, which decides whether the policy's scope covers it. */
export type TextPlace = 'reply' | 'tool_arguments'

/** The position of a text. */
export interface Leaf {
  kind: Kind
  place: TextPlace
  /** The name of its field if it may identify the value, e.g. "phone". */
  label: string | undefined
}

/** Where token ids are. */
export interface FoundTokenIds {
  /** The name of their field. */
  name: string
  place: TextPlace
  /** Number of steps to them. */
  depth: number
  /** Clients send them back. */
  isReturned: boolean
}

/** Receives the texts. */
export interface TextVisitor {
  /** Returns the replacement. */
  text(text: string, leaf: Leaf): string
  /** Redacts texts that clients read as one; undefined if nothing spans two parts. (Default: not called.) */
  joined?(parts: readonly string[], place: TextPlace): string[] | undefined
  /**
   * Receives the texts of tokens, which repeat the text beside them, joined by where they stand. Returns whether the
   * tokens are hidden, or stay as they are; undefined to receive each of their texts. (Default: not called.)
   */
  tokens?(joined: ReadonlyMap<string, string>, place: TextPlace, tokens: Json): 'hidden' | 'kept' | undefined
  /** Receives token ids, which cannot be read; returns what stands for them. (Default: they stay.) */
  tokenIds?(ids: Json[], found: FoundTokenIds): Json[]
  /** Receives an object that its provider signed and that was changed; returns a signature for it, if it gets another. */
  signature?(original: JsonObject): string | undefined
}

/** One step from a value into it: a field name, or an item of a list by its position, and by its index if it has one. */
export type Step = string | { position: number; index: number }

export class TextWalk {
  /** The steps to the current text. */
  readonly steps: Step[] = []
  readonly #fields: Fields
  readonly #visitor: TextVisitor
  #place: TextPlace = 'reply'
  #isSigned = false
  /** Below the input of a tool, whose fields have names that users choose. */
  #isToolInput = false

  constructor(fields: Fields, visitor: TextVisitor) {
    this.#fields = fields
    this.#visitor = visitor
  }

  /**
   * Returns the value with its texts changed; the same value if none changed. Throws RangeError if nested too deeply.
   */
  change<T extends Json>(value: T, place: TextPlace = 'reply'): T {
    this.#place = place
    this.steps.length = 0
    this.#isToolInput = false
    return this.#any(value, '') as T
  }

  #any(value: Json, name: string): Json {
    if (typeof value === 'string') return this.#string(value, name)
    if (typeof value === 'number') return this.#number(value, String(value), name)
    if (typeof value !== 'object' || value === null) return value
    if (this.steps.length > MAX_DEPTH) throw new RangeError('the value is nested too deeply')
    if (Array.isArray(value)) return this.#list(value, name)
    if (isRawNumber(value)) return this.#number(value, JSON.stringify(value), name)
    // Arguments of tools are not signed, under any name of their fields.
    if (this.#isToolInput) return this.#object(value, name)
    const outer = this.#isSigned
    this.#isSigned ||= this.#fields.signed !== undefined && isSigned(value, name, this.#fields.signed)
    const safe = this.#object(value, name)
    this.#isSigned = outer
    return safe === value ? value : this.#resigned(value, safe)
  }

  #resigned(original: JsonObject, safe: JsonObject): JsonObject {
    if (!this.#visitor.signature || this.#place === 'tool_arguments') return safe
    const name = Object.keys(original).find((field) => isSignature(field) && isSealed(original[field]))
    const signature = name && this.#visitor.signature(original)
    return signature ? { ...safe, [name]: signature } : safe
  }

  #string(text: string, name: string): string {
    if (text === '') return text
    if (this.#isSigned) return this.#visit(text, 'blob', name)
    const known = Object.hasOwn(this.#fields.opaque, name) ? this.#fields.opaque[name] : undefined
    const shape = this.#isToolInput && known !== 'word' ? undefined : known
    if (shape !== undefined && SHAPES[shape](text)) return this.#visit(text, shape === 'word' ? 'word' : 'blob', name)
    // Signatures have many names, and come through servers of other dialects.
    const isUnknown = shape === undefined && name !== '' && !this.#fields.names.has(name)
    const isOpaque = isUnknown && this.#place === 'reply' && isRandom(text)
    return this.#visit(text, isOpaque ? 'blob' : 'text', name)
  }

  /** Numbers with fewer digits than the shortest data are ignored. */
  #number(value: Json, digits: string, name: string): Json {
    if (digits.length < MIN_DIGITS || (typeof value === 'number' && !Number.isInteger(value))) return value
    const safe = this.#visit(digits, 'number', name)
    return safe === digits ? value : safe
  }

  #list(items: Json[], name: string): Json {
    const spelled = spelledBy(items)
    if (spelled !== undefined) {
      const safe = this.#visit(spelled, 'bytes', name)
      return safe === spelled ? items : [...Buffer.from(safe)]
    }
    const isReturned = this.steps.length === 1 && this.#fields.returned?.has(name) === true
    if (this.#visitor.tokenIds && (isReturned || areTokenIds(items)))
      return this.#visitor.tokenIds(items, { name, place: this.#place, depth: this.steps.length, isReturned })
    let copy: Json[] | undefined
    const parts = this.#joined(items)
    for (let at = 0; at < parts.length; at++) {
      const item = parts[at]!
      this.steps.push({ position: at, index: indexOf(item, at) })
      const safe = this.#any(item, name)
      this.steps.pop()
      if (safe === item && copy === undefined) continue
      copy ??= parts.slice(0, at)
      copy.push(safe)
    }
    return copy ?? parts
  }

  /** Returns the parts of one text, without what spans two of them. */
  #joined(items: Json[]): Json[] {
    if (!this.#visitor.joined || items.length < 2) return items
    const texts = items.map(textOfPart)
    const parts = texts.filter((text) => text !== undefined)
    if (parts.length < 2) return items
    const safe = this.#visitor.joined(parts, this.#place)
    if (!safe) return items
    let next = 0
    return items.map((item, at) => {
      if (texts[at] === undefined) return item
      const text = safe[next++]!
      return isObject(item) ? { ...item, text } : text
    })
  }

  #object(value: JsonObject, label: string): JsonObject {
    const bytes = isByte(value[0]) ? listOf(value) : []
    const spelled = spelledBy(bytes)
    if (spelled !== undefined) {
      const safe = this.#visit(spelled, 'bytes', label)
      return safe === spelled ? value : Object.fromEntries(Buffer.from(safe).entries())
    }
    let copy: [string, Json][] | undefined
    let count = 0
    for (const name in value) {
      const item = value[name]
      if (item === undefined) continue
      const safeName = this.#fields.names.has(name) ? name : this.#visit(name, 'name', '')
      const safe = this.#field(name, safeName, item)
      if (copy === undefined && (safe !== item || safeName !== name)) {
        copy = Object.entries(value).slice(0, count) as [string, Json][]
      }
      copy?.push([safeName, safe])
      count++
    }
    return copy ? fromEntries(copy) : value
  }

  #field(name: string, safeName: string, item: Json): Json {
    const [outer, isOuterInput] = [this.#place, this.#isToolInput]
    if (this.#fields.tools.has(name)) {
      this.#place = 'tool_arguments'
      // At the top of a request "input" is the conversation.
      this.#isToolInput ||= this.steps.length > 0
    }
    this.steps.push(safeName)
    const tokens = TOKENS.has(name) ? this.#tokens(item) : undefined
    const safe = tokens === undefined ? this.#any(item, name) : tokens === 'kept' ? item : withoutTokens(item)
    this.steps.pop()
    this.#place = outer
    this.#isToolInput = isOuterInput
    return safe
  }

  #tokens(value: Json): 'hidden' | 'kept' | undefined {
    if (typeof value !== 'object' || value === null) return undefined
    return this.#visitor.tokens?.(joinedTexts(value, this.#fields.names), this.#place, value)
  }

  #visit(text: string, kind: Kind, name: string): string {
    const label = name === '' || this.#fields.names.has(name) ? undefined : name
    return this.#visitor.text(text, { kind, place: this.#place, label })
  }
}

/** Changes every text in JSON of no dialect, field names included. */
export const changeTexts = <T extends Json>(value: T, change: (text: string) => string): T =>
  new TextWalk(NO_FIELDS, { text: change }).change(value)

const NO_FIELDS: Fields = { names: new Set(), opaque: {}, tools: new Set() }

/** Returns the value at these steps. */
export function valueAt(value: Json, steps: readonly Step[]): Json | undefined {
  let found: Json | undefined = value
  for (const step of steps) {
    if (typeof step !== 'string') found = Array.isArray(found) ? found[step.position] : undefined
    else found = isObject(found) ? found[step] : undefined
  }
  return found
}

/** Returns the value with another one at these steps; parts that are not on the way are shared. */
export function withValueAt(value: Json, steps: readonly Step[], instead: Json): Json {
  const [step, ...rest] = steps
  if (step === undefined) return instead
  if (typeof step === 'string') {
    const object = value as JsonObject
    return { ...object, [step]: withValueAt(object[step]!, rest, instead) }
  }
  return (value as Json[]).map((item, at) => (at === step.position ? withValueAt(item, rest, instead) : item))
}

/** What stands for tokens that are hidden. */
export const withoutTokens = (tokens: Json): Json => (Array.isArray(tokens) ? [] : null)

/** Returns the same text for the same steps; an item of a list is identified by its index. */
export const pathOf = (steps: readonly Step[]): string =>
  steps.map((step) => (typeof step === 'string' ? step : `#${step.index}`)).join('/')

const indexOf = (item: Json, at: number): number =>
  isObject(item) && typeof item.index === 'number' && Number.isInteger(item.index) ? item.index : at

const isSigned = ({ type, signature, data }: JsonObject, name: string, signed: ReadonlySet<string>): boolean =>
  (signed.has(String(type)) || signed.has(name)) && [signature, data].some(isSealed)

/** Fields with which a provider signs the object that they are in. */
export const isSignature = (name: string): boolean => SIGNATURES.has(name)
const SIGNATURES: ReadonlySet<string> = new Set(['signature', 'thoughtSignature', 'thought_signature'])

const isSealed = (seal: Json | undefined): boolean => typeof seal === 'string' && SHAPES.sealed(seal)

/** Digits of the shortest data: a bank's routing number or a social security number. */
const MIN_DIGITS = 9
const MIN_NUMBER = 10 ** (MIN_DIGITS - 1)

const SHAPES: Readonly<Record<Shape, (text: string) => boolean>> = {
  word: (text) => text.length <= 256 && /^@?[A-Za-z0-9_][\w.:/+=-]*$/.test(text),
  sealed: (text) => /^[A-Za-z0-9+/_-]{64,}={0,2}$/.test(text) && !GROUPS_OF_DIGITS.test(text),
  media: (text) => text.length >= 64 && MEDIA.test(text),
}

/** A number with nothing but separators around it: in random base64 there is none. */
const GROUPS_OF_DIGITS = /(?<![A-Za-z0-9])\d(?:[-_+/]?\d){8,}(?![A-Za-z0-9])/

/** Long, and too mixed for a text or a number: only its issuer can read it. */
const isRandom = (text: string): boolean =>
  SHAPES.sealed(text) && /[a-z]/.test(text) && /[A-Z]/.test(text) && /\d/.test(text)

/** How each format begins in base64: PNG, JPEG, GIF, RIFF, BMP, TIFF, PDF, MP3, Ogg, FLAC, MPEG-4, Matroska. */
const MEDIA =
  /^(data:[\w.+/-]{1,80};base64,)?(iVBORw0KGgo|\/9j\/|R0lGOD|UklGR|Qk[0-3]|SUkq|TU0A|JVBERi|SUQz|\/\/[uvs]|T2dnUw|ZkxhQw|AAAA[A-Za-z0-9+/]{4}ZnR5c|GkXfo)[A-Za-z0-9+/]*={0,2}$/

/** Fields that repeat a text token by token. */
const TOKENS: ReadonlySet<string> = new Set(['logprobs', 'logprobsResult'])

/** Returns the text that a list of bytes spells; undefined for any other list. */
function spelledBy(items: readonly Json[]): string | undefined {
  if (items.length < MIN_BYTES || !items.every(isByte)) return undefined
  return Buffer.from(items as number[]).toString('utf8')
}

/** Ids of as many tokens as the shortest data has. Vectors have fractions or signs; lists of bytes are read. */
const areTokenIds = (items: readonly Json[]): boolean =>
  items.length >= MIN_TOKEN_IDS && items.every(isTokenId) && !items.every(isByte)

const MIN_TOKEN_IDS = 4

const isTokenId = (item: Json): boolean => typeof item === 'number' && Number.isInteger(item) && item >= 0

/** Returns the items of a list that is written as an object, as JavaScript writes typed arrays: `{"0":106,"1":97}`. */
function listOf(value: JsonObject): Json[] {
  const names = Object.keys(value)
  return names.every((name, at) => name === String(at)) ? (Object.values(value) as Json[]) : []
}

/** Length of "a@b.co". */
const MIN_BYTES = 6

const isByte = (item: Json | undefined): boolean =>
  typeof item === 'number' && Number.isInteger(item) && item >= 0 && item <= 255

const textOfPart = (item: Json): string | undefined => {
  if (typeof item === 'string') return item
  return isObject(item) && typeof item.text === 'string' ? item.text : undefined
}

/** Returns all that can be read in tokens, joined by the fields above it: texts, bytes, unknown names, long numbers. */
function joinedTexts(value: Json, names: ReadonlySet<string>): Map<string, string> {
  const joined = new Map<string, string>()
  const add = (path: string, text: string) => joined.set(path, (joined.get(path) ?? '') + text)
  const gather = (item: Json | undefined, path: string, depth: number): void => {
    if (typeof item === 'string') add(path, item)
    else if (typeof item === 'number' && Math.abs(item) >= MIN_NUMBER && Number.isInteger(item)) add(path, ` ${item} `)
    else if (depth > MAX_DEPTH || typeof item !== 'object' || item === null) return
    else if (isRawNumber(item)) add(path, ` ${JSON.stringify(item)} `)
    else if (Array.isArray(item)) {
      if (item.length > 0 && item.every(isByte)) add(path, Buffer.from(item as number[]).toString('latin1'))
      else for (const one of item) gather(one, path, depth + 1)
    } else
      for (const field in item) {
        // Completions name the tokens that might have been.
        if (!names.has(field)) add(`${path}/`, field)
        gather(item[field], `${path}/${field}`, depth + 1)
      }
  }
  gather(value, '', 0)
  return joined
}

/** Duplicate names, which redaction can cause, are numbered. */
function fromEntries(entries: readonly [string, Json][]): JsonObject {
  const taken = new Map<string, number>()
  return Object.fromEntries(entries.map(([name, item]) => [freeName(name, taken), item]))
}

/** Returns the name, with a number if it is taken. */
function freeName(name: string, taken: Map<string, number>): string {
  let times = taken.get(name) ?? 0
  let free = name
  while (taken.has(free)) free = `${name}_${++times}`
  taken.set(name, Math.max(times, 1))
  taken.set(free, Math.max(taken.get(free) ?? 0, 1))
  return free
}
