/** Messages, items and parts of OpenAI's APIs, and of servers that speak like them. */
import { blockShape } from '../anthropic/content.ts'
import { type Grammar, type Shape, shapeWith } from '../content.ts'
import type { JsonObject } from '../json.ts'

const shape = shapeWith('type id object status cache_control created_by')

/** Parts of a message, by type. */
const PARTS: Readonly<Record<string, Shape>> = {
  input_text: shape({ data: 'text' }, 'text'),
  output_text: shape({ data: 'text annotations logprobs parsed' }, 'text'),
  summary_text: shape({ data: 'text' }, 'text'),
  reasoning_text: shape({ data: 'text' }, 'text'),
  refusal: shape({ data: 'refusal' }, 'refusal'),
  text: shape({ data: 'text annotations citations signature thought_signature extra_content' }, 'text'),
  image_url: shape({ image: 'image_url', data: 'detail' }, 'image_url'),
  input_image: shape({ image: 'image_url file_id', data: 'detail' }, 'image_url', 'file_id'),
  computer_screenshot: shape({ image: 'image_url file_id', data: 'detail' }, 'image_url', 'file_id'),
  input_audio: shape({ audio: 'input_audio' }, 'input_audio'),
  file: shape({ pages: 'file' }, 'file'),
  input_file: shape(
    { pages: 'file_data file_id file_url', data: 'filename detail' },
    'file_data',
    'file_id',
    'file_url',
  ),
  /** Of Mistral. */
  think: shape({ parts: 'thinking' }, 'thinking'),
  reference: shape({ data: 'reference_ids' }, 'reference_ids'),
}
/** Of Mistral, whose thoughts have parts. */
const THINKING = shape({ data: 'signature closed', parts: 'thinking' }, 'thinking')
/** Of Cohere. */
const DOCUMENT = shape({ data: 'document' }, 'document')

const OUTPUT = shape({ data: 'call_id caller max_output_length acknowledged_safety_checks', parts: 'output' }, 'output')
/** The results of OpenAI's tools are at OpenAI. */
const FOUND = shape({ data: 'action queries results code outputs container_id' }, 'found')

/** Items of a conversation in the Responses API, by type. */
const ITEMS: Readonly<Record<string, Shape>> = {
  message: shape({ data: 'role phase name', parts: 'content' }, 'content'),
  function_call: shape({ data: 'call_id name arguments namespace caller' }, 'name'),
  custom_tool_call: shape({ data: 'call_id name input namespace caller' }, 'name'),
  tool_search_call: shape({ data: 'call_id arguments execution' }, 'arguments'),
  tool_search_output: shape({ data: 'call_id tools execution' }, 'tools'),
  computer_call: shape({ data: 'call_id action actions pending_safety_checks' }, 'action', 'actions'),
  local_shell_call: shape({ data: 'call_id action' }, 'action'),
  shell_call: shape({ data: 'call_id action environment max_output_length caller' }, 'action'),
  apply_patch_call: shape({ data: 'call_id operation caller' }, 'operation'),
  function_call_output: OUTPUT,
  custom_tool_call_output: OUTPUT,
  computer_call_output: OUTPUT,
  local_shell_call_output: shape({ data: 'call_id output' }, 'output'),
  shell_call_output: shape({ data: 'call_id output max_output_length caller' }, 'output'),
  apply_patch_call_output: shape({ data: 'call_id output caller' }, 'call_id'),
  reasoning: shape({ data: 'encrypted_content', parts: 'summary content' }, 'encrypted_content'),
  web_search_call: FOUND,
  file_search_call: FOUND,
  code_interpreter_call: FOUND,
  image_generation_call: shape(
    { image: 'result', data: 'action background output_format quality revised_prompt size' },
    'result',
  ),
  mcp_call: shape({ data: 'name server_label arguments output error approval_request_id' }, 'output', 'error'),
  mcp_list_tools: shape({ data: 'server_label tools error' }, 'tools'),
  mcp_approval_request: shape({ data: 'name server_label arguments' }, 'name'),
  mcp_approval_response: shape({ data: 'approval_request_id approve reason' }, 'approve'),
  // Held at its size when it was delivered.
  item_reference: shape({}, 'content'),
}
const NEW_REASONING = shape({ parts: 'summary content' })

/** Of chat completions. */
const MESSAGE = shape({
  data: `role name tool_calls function_call tool_call_id tool_name refusal reasoning reasoning_content reasoning_details
    reasoning_text reasoning_opaque reasoning_signature thinking thinking_blocks thought_signature signature annotations
    encrypted_content extra_content provider_specific_fields additional_kwargs response_metadata usage_metadata
    invalid_tool_calls metadata citations tool_plan prefix partial index finish_reason model parsed phase`,
  parts: 'content',
  image: 'images',
  audio: 'audio',
})

function partShape(part: JsonObject): Shape | undefined {
  const { type } = part
  if (typeof type !== 'string') return undefined
  if (type === 'thinking' && Array.isArray(part.thinking)) return THINKING
  if (type === 'document' && part.source === undefined) return DOCUMENT
  return Object.hasOwn(PARTS, type) && part.source === undefined && part.data === undefined
    ? PARTS[type]
    : blockShape(part)
}

/** `imageTokens`: maximum tokens of one image. */
export const chatContent = (imageTokens: number): Grammar => ({
  imageTokens,
  shapeOf: (part) => (isMessage(part) ? MESSAGE : partShape(part)),
})

/** Nothing of a chat is stored. */
const isMessage = ({ role, type, content }: JsonObject): boolean =>
  typeof role === 'string' || (type === undefined && content !== undefined)

/** The same. The type of a message is optional. */
export const responseContent = (imageTokens: number): Grammar => ({
  imageTokens,
  shapeOf(item) {
    const { type, role, id } = item
    if (type === undefined || type === null) return typeof role === 'string' ? ITEMS.message : ITEMS.item_reference
    if (typeof type !== 'string') return undefined
    // Made up by the client, and so nowhere else.
    if (type === 'reasoning' && (id === undefined || id === null)) return NEW_REASONING
    return Object.hasOwn(ITEMS, type) ? ITEMS[type] : partShape(item)
  },
})
