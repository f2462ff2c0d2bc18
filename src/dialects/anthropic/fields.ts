/** Fields of Anthropic's Messages API. */
import type { Fields } from '../texts.ts'

export const fields: Fields = {
  names: new Set(
    `id type role model content text stop_reason stop_sequence usage input_tokens output_tokens
    cache_creation_input_tokens cache_read_input_tokens cache_creation ephemeral_5m_input_tokens
    ephemeral_1h_input_tokens server_tool_use web_search_requests web_fetch_requests service_tier inference_geo message
    index content_block delta partial_json thinking signature data name input tool_use_id citations citation cited_text
    document_index document_title start_char_index end_char_index start_page_number end_page_number url title
    encrypted_index encrypted_content page_age source media_type file_id container expires_at error error_code
    is_error context_management applied_edits iterations caller stdout stderr return_code retrieved_at request_id
    messages system tools tool_choice description input_schema properties required items enum cache_control ttl
    max_tokens stream stop_sequences temperature top_k top_p metadata user_id`.split(/\s+/),
  ),
  opaque: {
    id: 'word',
    type: 'word',
    role: 'word',
    model: 'word',
    name: 'word',
    stop_reason: 'word',
    service_tier: 'word',
    inference_geo: 'word',
    tool_use_id: 'word',
    file_id: 'word',
    request_id: 'word',
    error_code: 'word',
    media_type: 'word',
    expires_at: 'word',
    retrieved_at: 'word',
    ttl: 'word',
    signature: 'sealed',
    encrypted_index: 'sealed',
    encrypted_content: 'sealed',
    data: 'sealed',
  },
  tools: new Set(['partial_json', 'input']),
}
