/**
 * What a request asks for beside its text: images, audio, files, the provider's own tools. One walk over the content,
 * for all formats: each names such a part by its `type`.
 */

import { CageError } from '../errors.ts'
import { type Demands, TEXT_ONLY } from './dialect.ts'
import { isObject, type Json, type JsonObject } from './json.ts'

/** Looks through messages or input items. `imageTokens`: what one image costs at most. */
export function readContent(content: Json | undefined, imageTokens: number): Demands {
  const found = { ...TEXT_ONLY, imageTokens }
  walk(content, found)
  return found
}

type Found = { -readonly [Name in keyof Demands]: Demands[Name] }

function walk(value: Json | undefined, found: Found): void {
  if (typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    for (const item of value) walk(item, found)
    return
  }
  const image = imageOf(value)
  if (image !== undefined) {
    found.images += 1
    found.imageBytes += image.length
  }
  if (value.type === 'input_audio' || isEarlierSpeech(value)) found.audioInput = true
  if (isStored(value)) found.isInputUnseen = true
  for (const name in value) walk(value[name], found)
}

/**
 * The text of an image's data or address, wherever it is from: none costs more than the largest. Its bytes are no
 * tokens.
 */
function imageOf({ type, image_url, source }: JsonObject): string | undefined {
  switch (type) {
    case 'image_url':
      return isObject(image_url) ? textOf(image_url.url) : textOf(image_url)
    case 'input_image':
    case 'computer_screenshot':
      return textOf(image_url)
    case 'image':
      return isObject(source) ? textOf(source.data ?? source.url) : undefined
    default:
      return undefined
  }
}

const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '')

/** Names something that the provider has, or a document whose pages are read as text and as images. */
function isStored(part: JsonObject): boolean {
  switch (part.type) {
    case 'file':
    case 'input_file':
    case 'item_reference':
    case 'compaction':
    case 'container_upload':
      return true
    case 'document':
      // Plain text and content blocks stand in the request themselves.
      return isObject(part.source) && part.source.type !== 'text' && part.source.type !== 'content'
    default:
      return isEarlierSpeech(part)
  }
}

/** A spoken answer of before: { audio: { id } }. */
const isEarlierSpeech = ({ audio }: JsonObject): boolean => isObject(audio) && typeof audio.id === 'string'

/** A request as JSON for the tokenizer, without the data of its images. */
export const withoutImages = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) =>
    isObject(part) && imageOf(part) !== undefined ? { ...part, image_url: null, source: null } : part,
  )

/** Tools that the provider runs by itself: they cost tokens, and some a price per use. */
const SERVER_TOOL = /^(web_search|web_fetch|file_search|mcp)/
/** Tools whose use costs what no reply tells. */
const UNPRICED = /^(code_interpreter|code_execution|image_generation|advisor)/

/** The provider's own tools among a request's. Throws CageError `price_unknown` for one that nobody can count. */
export function serverTools(tools: Json | undefined): JsonObject[] {
  return (Array.isArray(tools) ? tools : []).filter((tool): tool is JsonObject => {
    if (!isObject(tool) || typeof tool.type !== 'string') return false
    const { type, environment } = tool
    const isHosted = type === 'shell' && isObject(environment) && /^container/.test(String(environment.type))
    if (UNPRICED.test(type) || isHosted) throw unpricedTool(type)
    return SERVER_TOOL.test(type)
  })
}

const unpricedTool = (tool: string): CageError =>
  new CageError('price_unknown', `the tool "${tool}" costs money that no reply tells, so the call was not sent`, {
    facts: { tool },
    hint: `leave "${tool}" out of "tools"`,
  })
