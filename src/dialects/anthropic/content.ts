/** Content blocks of Anthropic's Messages API. */
import { type Grammar, type Shape, shapeWith } from '../content.ts'
import { isObject, type JsonObject } from '../json.ts'

/**
 * Maximum cost of one image: 4,784 tokens on models that see up to 2,576 pixels, 1,568 on earlier ones (Anthropic's
 * guide "Vision", evaluate image size).
 */
const IMAGE_TOKENS = 4_784

const shape = shapeWith('type cache_control citations')

/** The results of a tool that Anthropic ran. */
const RESULT = shape({
  data: `tool_use_id is_error error_code error_message stdout stderr return_code encrypted_stdout url title page_age
    encrypted_content retrieved_at caller file_type lines`,
  parts: 'content tool_references',
})
const CALL = shape({ data: 'id name input caller server_name' }, 'name')
const TOOL_RESULT = shape({ data: 'tool_use_id is_error', parts: 'content' })
const FILE = shape({ data: 'file_id' })

/** Blocks and their contents, by type. */
export const ANTHROPIC_SHAPES: Readonly<Record<string, Shape>> = {
  text: shape({ data: 'text' }, 'text'),
  image: shape({ image: 'source', data: 'transcription' }, 'source'),
  thinking: shape({ data: 'thinking signature' }, 'thinking', 'signature'),
  redacted_thinking: shape({ data: 'data' }, 'data'),
  tool_use: CALL,
  server_tool_use: CALL,
  mcp_tool_use: CALL,
  tool_result: TOOL_RESULT,
  mcp_tool_result: TOOL_RESULT,
  search_result: shape({ data: 'source title', parts: 'content' }, 'content'),
  tool_reference: shape({ data: 'tool_name' }),
  compaction: shape({ data: 'content encrypted_content' }, 'content'),
  /** Of a document. */
  content: shape({ parts: 'content' }, 'content'),
  // Files that code has made: named, not read.
  code_execution_output: FILE,
  bash_code_execution_output: FILE,
}

const MESSAGE = shape({ data: 'role id name', parts: 'content' }, 'content')
const PLAIN_SOURCE = shape({ data: 'media_type data' }, 'data')
const PLAIN_DOCUMENT = shape({ data: 'title context', parts: 'source' }, 'source')
const DOCUMENT = shape({ data: 'title context', pages: 'source' }, 'source')

const RESULTS = /_result(_error|_block)?$/

/** Returns the shape of a block, by its type. */
export function blockShape(block: JsonObject): Shape | undefined {
  const { type, source, text } = block
  if (typeof type !== 'string') return undefined
  if (type === 'document') return isPlain(source) ? PLAIN_DOCUMENT : DOCUMENT
  if (type === 'text' && text === undefined) return PLAIN_SOURCE
  return Object.hasOwn(ANTHROPIC_SHAPES, type) ? ANTHROPIC_SHAPES[type] : RESULTS.test(type) ? RESULT : undefined
}

/** The text of a document is in the request itself, or its pages are somewhere else. */
const isPlain = (source: JsonObject[string]): boolean =>
  isObject(source) && (source.type === 'text' || source.type === 'content')

export const ANTHROPIC_CONTENT: Grammar = {
  imageTokens: IMAGE_TOKENS,
  shapeOf: (part) => (typeof part.role === 'string' ? MESSAGE : blockShape(part)),
}
