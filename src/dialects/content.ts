/**
 * The input of a request's model, by the grammar of its dialect. Text counts by its bytes. Whatever the grammar does
 * not know completely is unseen, and the model may read a whole context window of it (`budget/estimate.ts`): a part of
 * no known type, one without its content, an id or address in an unknown field.
 */
import { type MutableDemands, TEXT_ONLY } from './dialect.ts'
import { isObject, type Json, type JsonObject } from './json.ts'

/**
 * The content of a field. `data`: JSON that counts by its bytes. `parts`: text, or parts of the grammar. `image`: an
 * image, by its data, address or id: none costs more than the largest. `audio`: a recording. `pages`: a document, whose
 * pages are read as text and images.
 */
export type Field = 'data' | 'parts' | 'image' | 'audio' | 'pages'

/** A kind of part. */
export interface Shape {
  fields: Readonly<Record<string, Field>>
  /** Without any of these its content is at the provider, under its id. (Default: all that it has is in the request.) */
  needs?: readonly string[]
}

export interface Grammar {
  /** Returns the shape of a part; undefined for an unknown one. */
  shapeOf(part: JsonObject): Shape | undefined
  /** Maximum tokens of one image. */
  imageTokens: number
}

type Found = MutableDemands & { references: string[] }

/** Returns the demands of a request's content. */
export function readContent(content: Json | undefined, grammar: Grammar): MutableDemands {
  const found: Found = { ...TEXT_ONLY, imageTokens: grammar.imageTokens, references: [] }
  readParts(content, grammar, found)
  return found
}

function readParts(value: Json | undefined, grammar: Grammar, found: Found): void {
  if (Array.isArray(value)) for (const item of value) readParts(item, grammar, found)
  else if (isObject(value)) readPart(value, grammar, found)
}

function readPart(part: JsonObject, grammar: Grammar, found: Found): void {
  const shape = grammar.shapeOf(part)
  if (!shape) return addUnseen(found)
  if (shape.needs && !shape.needs.some((name) => isPresent(part[name], part))) {
    // What this gateway has delivered has a known size.
    if (typeof part.id === 'string' && part.id !== '') found.references.push(part.id)
    else addUnseen(found)
  }
  for (const name in part) {
    const value = part[name]
    if (value === undefined || value === null) continue
    switch (Object.hasOwn(shape.fields, name) ? shape.fields[name] : undefined) {
      case 'data':
        break
      case 'parts':
        readParts(value, grammar, found)
        break
      case 'image':
        for (const image of [value].flat()) addImage(image, found)
        break
      case 'audio':
        addAudio(isObject(value) ? value.data : value, found)
        break
      case 'pages':
        found.isInputUnseen = true
        break
      default:
        if (mayRefer(name, value)) addUnseen(found)
    }
  }
}

/** A part with an id and nothing else is at the provider. */
const isPresent = (value: Json | undefined, { id }: JsonObject): boolean => {
  if (value === undefined || value === null) return false
  const isEmpty = value === '' || (Array.isArray(value) && value.length === 0)
  return !isEmpty || id === undefined || id === null
}

/** It may be a recording, too. */
export function addUnseen(found: { isInputUnseen: boolean; audioBytes: number }): void {
  found.isInputUnseen = true
  found.audioBytes = Number.POSITIVE_INFINITY
}

/** A recording has more bytes than tokens. One by its address, or by the id of an earlier answer, is unseen. */
export function addAudio(
  data: Json | undefined,
  found: { isInputUnseen: boolean; audioInput: boolean; audioBytes: number },
): void {
  found.audioInput = true
  if (typeof data !== 'string' || ADDRESS.test(data)) addUnseen(found)
  else found.audioBytes += data.length
}

const ADDRESS = /^\s*(?!data:)[a-z][\w+.-]*:/i

/** Its bytes are not tokens. */
export function addImage(image: Json, found: { images: number; imageBytes: number }): void {
  const data = isObject(image) ? (image.url ?? image.data ?? image.bytes) : image
  found.images += 1
  found.imageBytes += typeof data === 'string' ? data.length : 0
}

/**
 * An unknown field may name content that the provider stores or fetches: by an address, an id, or as one. Words and
 * text do not.
 */
function mayRefer(name: string, value: Json): boolean {
  if (typeof value === 'string') return value !== '' && (NAMES_REFERENCE.test(name) || REFERENCE.test(value))
  if (Array.isArray(value)) return value.some((item) => mayRefer(name, item))
  return isObject(value) && Object.entries(value).some(([inner, item]) => mayRefer(inner, item ?? null))
}

const NAMES_REFERENCE = /(^|[a-z_])(ids?|urls?|uris?|path|file|ref|reference)$/i
/** Begins with a scheme; or is one word, with a slash, or of six characters with a digit, or longer than words are. */
const REFERENCE = /^\s*([a-z][\w+.-]*:|(?=\S*\s*$)(\S*\/|(?=\S*\d)\S{6}|\S{25}))/i

/** Returns a function that describes shapes: by what fields have, and which of them are needed. `common`: data of each. */
export const shapeWith =
  (common: string) =>
  (names: Readonly<Partial<Record<Field, string>>>, ...needs: readonly string[]): Shape => {
    const given = { ...names, data: `${common} ${names.data ?? ''}` }
    const fields = Object.entries(given).flatMap(([field, words]) =>
      words
        .trim()
        .split(/\s+/)
        .map((name): [string, Field] => [name, field as Field]),
    )
    return { fields: Object.fromEntries(fields), ...(needs.length > 0 && { needs }) }
  }
