/** Fields of Cohere's API. */
import type { Fields } from '../texts.ts'

export const fields: Fields = {
  names: new Set(
    `id type index delta message role content text thinking tool_plan tool_calls function name arguments citations start
    end sources document data title snippet finish_reason error usage billed_units tokens input_tokens output_tokens
    search_units classifications image_tokens cached_tokens logprobs token_ids embeddings float int8 uint8 binary ubinary
    base64 texts images width height format bit_depth response_type meta api_version version is_experimental warnings
    results relevance_score models endpoints context_length tokenizer_url default_endpoints features next_page_token
    model messages tools tool_call_id strict_tools documents citation_options mode response_format json_schema safety_mode
    max_tokens stop_sequences temperature seed frequency_penalty presence_penalty k p tool_choice token_budget stream
    description parameters properties required items enum query top_n max_tokens_per_doc input_type embedding_types
    output_dimension truncate image_url url`.split(/\s+/),
  ),
  opaque: {
    id: 'word',
    type: 'word',
    role: 'word',
    name: 'word',
    model: 'word',
    finish_reason: 'word',
    response_type: 'word',
    tool_call_id: 'word',
    version: 'word',
    url: 'media',
  },
  tools: new Set(['arguments']),
}
