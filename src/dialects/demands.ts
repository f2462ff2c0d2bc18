/**
 * What a request needs besides its text: images, audio, files, the provider's own tools. One walk over the content, for
 * all formats: each names such parts by their `type`.
 */

import { CageError } from '../core/errors.ts'
import { type Demands, TEXT_ONLY } from './dialect.ts'
import { isObject, type Json, type JsonObject } from './json.ts'

/** Reads messages or input items. `imageTokens`: maximum tokens of one image. */
export function readContent(content: Json | undefined, imageTokens: number): Demands {
  const found = { ...TEXT_ONLY, imageTokens }
  walk(content, found, true)
  return found
}

type MutableDemands = { -readonly [Name in keyof Demands]: Demands[Name] }

/** `isPart`: the value is a message, an item or a part of one, not the input of a tool. */
function walk(value: Json | undefined, found: MutableDemands, isPart: boolean): void {
  if (typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    for (const item of value) walk(item, found, isPart)
    return
  }
  const image = imageOf(value)
  if (image !== undefined) {
    found.images += 1
    found.imageBytes += image.length
  }
  if (value.type === 'input_audio' || isEarlierSpeech(value)) found.audioInput = true
  // Video, audio and documents by URL have different names on every server; their content is not visible here.
  const isUnknown = isPart && typeof value.type === 'string' && !KNOWN_PART.test(value.type)
  if (isStored(value) || isUnknown) found.isInputUnseen = true
  for (const name in value) walk(value[name], found, isPart && PARTS_IN.has(name))
}

/** Fields in which parts contain parts; anything else is the input of a tool, or text. */
const PARTS_IN: ReadonlySet<string> = new Set(['content', 'output', 'summary', 'source'])

/** Parts whose tokens are in the request, or are counted here. */
const KNOWN_PART = new RegExp(
  `^(${[
    'text|input_text|output_text|refusal|reasoning_text|summary_text|message|reasoning|thinking|redacted_thinking|think',
    'image_url|input_image|image|computer_screenshot|input_audio|file|input_file|document|reference|tool_reference',
    'tool_use|tool_result|server_tool_use|mcp_tool_use|mcp_tool_result|[a-z_]+_tool_result|search_result',
    '(custom_)?(function|tool)(_call)?(_output)?|(local_)?shell_call(_output)?|apply_patch_call(_output)?',
    'computer_call(_output)?|web_search_call|file_search_call|code_interpreter_call|image_generation_call',
    'mcp_(call|list_tools|approval_request|approval_response)|item_reference|compaction|container_upload',
    'base64|url|content|ephemeral|char_location|page_location|content_block_location|web_search_result(_location)?',
    '[a-z_]+_result(_block)?|web_search_result|code_execution_output|bash_code_execution_output',
  ].join('|')})$`,
)

/**
 * Returns the text of an image's data or URL, from any source: no image costs more than the largest. Its bytes are not
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

/** True for a part that refers to stored data, or to a document whose pages are read as text and images. */
function isStored(part: JsonObject): boolean {
  switch (part.type) {
    case 'file':
    case 'input_file':
    case 'item_reference':
    case 'compaction':
    case 'container_upload':
      return true
    case 'document':
      // Plain text and content blocks are in the request itself.
      return isObject(part.source) && part.source.type !== 'text' && part.source.type !== 'content'
    default:
      return isEarlierSpeech(part)
  }
}

/** An earlier spoken answer: { audio: { id } }. */
const isEarlierSpeech = ({ audio }: JsonObject): boolean => isObject(audio) && typeof audio.id === 'string'

/** Serializes a request for the tokenizer, without its image data. */
export const withoutImages = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) =>
    isObject(part) && imageOf(part) !== undefined ? { ...part, image_url: null, source: null } : part,
  )

/** Tools that the provider runs: they cost tokens, and some a price per use. */
const SERVER_TOOL = /^(web_search|web_fetch|file_search|mcp)/
/** Tools that the client runs, or that only refer to others. */
const CLIENT_TOOL =
  /^(function|custom|local_shell|shell$|apply_patch|computer|text_editor|bash|memory|tool_search|namespace)/

/** Returns the provider's own tools of a request. Throws CageError `price_unknown` for a tool with unknown cost. */
export function serverTools(tools: Json | undefined): JsonObject[] {
  return (Array.isArray(tools) ? tools : []).filter((tool): tool is JsonObject => {
    if (!isObject(tool) || typeof tool.type !== 'string') return false
    const { type, environment } = tool
    if (SERVER_TOOL.test(type)) return true
    const isHosted = type === 'shell' && isObject(environment) && /^container/.test(String(environment.type))
    if (isHosted || !CLIENT_TOOL.test(type)) throw unpricedTool(type)
    return false
  })
}

/** Throws CageError `price_unknown` if a request has any tool that its client does not run. */
export function requireClientTools(tools: Json | undefined): void {
  const [tool] = serverTools(tools)
  if (tool) throw unpricedTool(String(tool.type))
}

const unpricedTool = (tool: string): CageError =>
  new CageError('price_unknown', `the cost of the tool "${tool}" is unknown, so the call was not sent`, {
    facts: { tool, field: 'tools' },
    hint: `leave "${tool}" out of "tools"`,
  })
