/** Fields of OpenAI's formats and of compatible ones. */
import type { Fields } from '../texts.ts'

export const fields: Fields = {
  names: new Set(
    `id object created created_at completed_at model choices index message delta role content refusal text type
    reasoning reasoning_content reasoning_details thinking tool_calls function name arguments custom input function_call
    finish_reason logprobs top_logprobs token bytes logprob usage prompt_tokens completion_tokens total_tokens
    prompt_tokens_details completion_tokens_details cached_tokens audio_tokens reasoning_tokens image_tokens text_tokens
    accepted_prediction_tokens rejected_prediction_tokens input_tokens output_tokens input_tokens_details
    output_tokens_details service_tier system_fingerprint annotations url_citation start_index end_index url title
    audio data transcript expires_at output item item_id item_ids output_index content_index summary_index
    sequence_number annotation annotation_index part summary status response instructions error code param
    incomplete_details reason previous_response_id parallel_tool_calls tool_choice tools temperature top_p truncation
    max_output_tokens max_tool_calls metadata store user call_id encrypted_content obfuscation queries results filename
    file_id attributes score action query sources embedding images image_url b64_json stream messages system prompt
    suffix stream_options include_usage response_format json_schema schema strict description parameters properties
    required items enum additionalProperties max_tokens max_completion_tokens n stop seed detail format effort`.split(
      /\s+/,
    ),
  ),
  opaque: {
    id: 'word',
    object: 'word',
    type: 'word',
    role: 'word',
    model: 'word',
    name: 'word',
    status: 'word',
    format: 'word',
    detail: 'word',
    effort: 'word',
    reason: 'word',
    created_at: 'word',
    finish_reason: 'word',
    native_finish_reason: 'word',
    service_tier: 'word',
    system_fingerprint: 'word',
    provider: 'word',
    item_id: 'word',
    call_id: 'word',
    tool_call_id: 'word',
    file_id: 'word',
    response_id: 'word',
    previous_response_id: 'word',
    tool_choice: 'word',
    truncation: 'word',
    obfuscation: 'word',
    encrypted_content: 'sealed',
    signature: 'sealed',
    // Encrypted reasoning in OpenRouter's reasoning_details; audio in a message.
    data: 'sealed',
    url: 'media',
    image_url: 'media',
    file_data: 'media',
    b64_json: 'media',
    partial_image_b64: 'media',
    result: 'media',
  },
  tools: new Set(['arguments', 'custom', 'input', 'code', 'action', 'operation']),
}
