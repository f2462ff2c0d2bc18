/**
 * Writes JSON again with its changes alone: everything else stays as it came, to the spelling of its numbers, its
 * escapes, its white space and the order of its fields.
 */
import * as ascii from '../core/ascii.ts'
import { endOfString, hasDuplicates, isObject, isRawNumber, type Json, type JsonObject } from './json.ts'

/**
 * Returns JSON that means `after`. `text`: JSON that was parsed to `before`. Where a name stands twice, only one of the
 * values was read, so that such a text is serialized anew.
 */
export function rewriteJson(text: string, before: Json, after: Json): string {
  if (hasDuplicates(text, before)) return JSON.stringify(after)
  return before === after ? text : new Rewriting(text).of(before, after)
}

class Rewriting {
  readonly #text: string
  #at = 0
  /** The text before this position is written. */
  #copied = 0
  #written = ''

  constructor(text: string) {
    this.#text = text
  }

  of(before: Json, after: Json): string {
    this.#skipSpace()
    this.#value(before, after)
    return this.#written + this.#text.slice(this.#copied)
  }

  #value(before: Json | undefined, after: Json | undefined): void {
    if (before === after) this.#skipValue()
    else if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) this.#list(before, after)
    else if (isPlain(before) && isPlain(after)) this.#object(before, after)
    else {
      const start = this.#at
      this.#skipValue()
      this.#write(start, JSON.stringify(after))
    }
  }

  #list(before: Json[], after: Json[]): void {
    this.#at++
    for (let index = 0; index < before.length; index++) {
      this.#skipSpace()
      this.#value(before[index], after[index])
      this.#skipComma()
    }
    this.#skipSpace()
    this.#at++
  }

  #object(before: JsonObject, after: JsonObject): void {
    const { nameOf, added } = compareNames(before, after)
    this.#at++
    this.#skipSpace()
    /** Where the last field that stays has ended; undefined before the first. */
    let end: number | undefined
    while (this.#text.charCodeAt(this.#at) !== ascii.CLOSE_BRACE) {
      const start = this.#at
      const name = this.#name()
      const newName = nameOf(name)
      if (newName === undefined) {
        this.#skipValue()
        if (end === undefined) this.#skipComma()
        this.#write(end ?? start, '')
        end = end === undefined ? undefined : this.#at
      } else {
        if (newName !== name) this.#rename(start, newName)
        this.#value(before[name], after[newName])
        end = this.#at
      }
      this.#skipComma()
    }
    const fields = added.map((name) => `${JSON.stringify(name)}:${JSON.stringify(after[name])}`).join(',')
    if (fields !== '') this.#write(this.#at, `${end === undefined ? '' : ','}${fields}`)
    this.#at++
  }

  /** Reads a name, up to its value. */
  #name(): string {
    const start = this.#at
    this.#at = endOfString(this.#text, start)
    const name = JSON.parse(this.#text.slice(start, this.#at)) as string
    this.#skipSpace()
    this.#at++
    this.#skipSpace()
    return name
  }

  #rename(start: number, name: string): void {
    const value = this.#at
    this.#at = endOfString(this.#text, start)
    this.#write(start, JSON.stringify(name))
    this.#at = value
  }

  /** Writes this instead of the text between `start` and the current position. */
  #write(start: number, instead: string): void {
    this.#written += this.#text.slice(this.#copied, start) + instead
    this.#copied = this.#at
  }

  #skipComma(): void {
    this.#skipSpace()
    if (this.#text.charCodeAt(this.#at) !== ascii.COMMA) return
    this.#at++
    this.#skipSpace()
  }

  #skipSpace(): void {
    while (this.#text.charCodeAt(this.#at) <= ascii.SPACE) this.#at++
  }

  #skipValue(): void {
    let depth = 0
    do {
      const code = this.#text.charCodeAt(this.#at)
      if (code === ascii.QUOTE) this.#at = endOfString(this.#text, this.#at)
      else if (OPENING.has(code) || CLOSING.has(code)) {
        depth += OPENING.has(code) ? 1 : -1
        this.#at++
      } else if (depth > 0) this.#at++
      else {
        LITERAL.lastIndex = this.#at
        LITERAL.test(this.#text)
        this.#at = LITERAL.lastIndex
      }
    } while (depth > 0)
  }
}

const isPlain = (value: Json | undefined): value is JsonObject => isObject(value) && !isRawNumber(value)

/** `nameOf`: the new name of a field, undefined for one that is left out. `added`: the names of further fields. */
function compareNames(before: JsonObject, after: JsonObject) {
  const missing = namesOf(before).filter((name) => !hasField(after, name))
  const added = namesOf(after).filter((name) => !hasField(before, name))
  const isRenamed = missing.length === added.length
  const renamed = new Map(missing.map((name, at) => [name, isRenamed ? added[at] : undefined]))
  const nameOf = (name: string) => (renamed.has(name) ? renamed.get(name) : name)
  return { nameOf, added: isRenamed ? [] : added }
}

const namesOf = (value: JsonObject): string[] => Object.keys(value).filter((name) => value[name] !== undefined)

const hasField = (value: JsonObject, name: string): boolean => Object.hasOwn(value, name) && value[name] !== undefined

const OPENING: ReadonlySet<number> = new Set([ascii.OPEN_BRACKET, ascii.OPEN_BRACE])
const CLOSING: ReadonlySet<number> = new Set([ascii.CLOSE_BRACKET, ascii.CLOSE_BRACE])
/** A number, true, false or null. */
const LITERAL = /[^\s,\]}]+/y
