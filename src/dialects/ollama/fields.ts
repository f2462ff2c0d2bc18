/** Fields of Ollama's API, and of OpenAI's formats, which it speaks too. */
import { fields as ofOpenai } from '../openai/fields.ts'
import type { Fields } from '../texts.ts'

export const fields: Fields = {
  names: new Set([
    ...ofOpenai.names,
    ...`response thinking tool_name done done_reason context total_duration load_duration prompt_eval_count
    prompt_eval_duration eval_count eval_duration embeddings models modified_at size size_vram digest details
    parent_model family families parameter_size quantization_level expires_at context_length version license modelfile
    parameters template model_info capabilities options keep_alive think raw num_predict num_ctx`.split(/\s+/),
  ]),
  opaque: {
    ...ofOpenai.opaque,
    done_reason: 'word',
    tool_name: 'word',
    modified_at: 'word',
    expires_at: 'word',
    digest: 'word',
    family: 'word',
    families: 'word',
    parameter_size: 'word',
    quantization_level: 'word',
    images: 'media',
  },
  tools: ofOpenai.tools,
  returned: new Set(['context']),
}
