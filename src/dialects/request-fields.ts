/**
 * The top-level fields of requests, by their possible cost.
 *
 * The rules are:
 * - A field that a format reads (`n`, `tools`, `max_tokens` …), or that only affects the wording of the answer, is on
 *   the format's own list and passes.
 * - A field that triggers work without a price here (other models, plugins, searches of other vendors) is refused by
 *   name, unless its value requests nothing.
 * - Every other field is reported in `Demands.unknownFields`. The official servers refuse unknown fields, so there it
 *   passes. Elsewhere its cost is unknown: the call then counts as one that may not obey its limit (`budget/trust.ts`),
 *   until an answer with the field has stayed within its hold. Refusing it would break clients that send what their own
 *   server reads; passing it would be a hole of the size of the budget.
 */
import { CageError } from '../core/errors.ts'
import { isObject, type Json, type JsonObject } from './json.ts'

/** Free fields that many servers read in addition to the vendors': sampling, templates, output formats. */
const FREE_EVERYWHERE = [
  ...['model', 'stream', 'stream_options', 'temperature', 'top_p', 'top_k', 'top_a', 'min_p', 'typical_p', 'seed'],
  ...['random_seed', 'stop', 'stop_token_ids', 'user', 'metadata', 'frequency_penalty', 'presence_penalty'],
  ...['repetition_penalty', 'length_penalty', 'logit_bias', 'logprobs', 'top_logprobs', 'prompt_logprobs', 'echo'],
  ...['service_tier', 'safety_identifier', 'prompt_cache_key', 'prompt_cache_retention', 'store', 'min_tokens'],
  ...['ignore_eos', 'skip_special_tokens', 'include_stop_str_in_output', 'bad_words', 'truncate_prompt_tokens'],
  ...['guided_json', 'guided_regex', 'guided_choice', 'guided_grammar', 'structured_outputs', 'chat_template'],
  ...['chat_template_kwargs', 'add_generation_prompt', 'continue_final_message', 'add_special_tokens', 'priority'],
  ...['keep_alive', 'options', 'format', 'think', 'safe_prompt', 'prompt_mode', 'usage', 'transforms', 'thinking'],
  ...['reasoning', 'reasoning_effort', 'reasoning_format', 'include_reasoning', 'enable_thinking', 'thinking_budget'],
]

/** Fields without a price, and the values with which they request nothing. */
const COSTLY: Readonly<Record<string, (value: Json) => boolean>> = {
  // Fallback models, any of which may answer.
  models: (value) => isEmpty(value),
  route: (value) => value === '',
  preset: (value) => value === '',
  // OpenRouter's plugins; these read and search nothing.
  plugins: (value) => Array.isArray(value) && value.every((plugin) => isObject(plugin) && FREE_PLUGINS.has(plugin.id!)),
  search_parameters: (value) => isObject(value) && value.mode === 'off',
  enable_search: isOff,
  web_search: isOff,
  online: isOff,
  search: isOff,
  enabled_tools: isEmpty,
  compound_custom: isEmpty,
  documents: isEmpty,
  data_sources: isEmpty,
}

const FREE_PLUGINS: ReadonlySet<Json> = new Set(['response-healing', 'context-compression'])

function isOff(value: Json): boolean {
  return (
    value === false || value === '' || value === 0 || (isObject(value) && (value.enable ?? value.enabled) === false)
  )
}

function isEmpty(value: Json): boolean {
  return (Array.isArray(value) && value.length === 0) || (isObject(value) && Object.keys(value).length === 0)
}

/** Returns a format's own fields plus those that are free everywhere, for `readFields`. */
export const fieldsOf = (...own: readonly string[]): ReadonlySet<string> => new Set([...FREE_EVERYWHERE, ...own])

/** Returns the unknown fields of a body. Throws CageError `price_unknown` for a field without a price. */
export function readFields(body: JsonObject, known: ReadonlySet<string>): string[] {
  const unknown: string[] = []
  for (const [field, value] of Object.entries(body)) {
    if (value === undefined || value === null || known.has(field)) continue
    const asksNothing = Object.hasOwn(COSTLY, field) ? COSTLY[field] : undefined
    if (asksNothing === undefined) unknown.push(field)
    else if (!asksNothing(value)) throw unpricedField(field)
  }
  return unknown
}

export const unpricedField = (field: string, hint = `leave out "${field}"`): CageError =>
  new CageError('price_unknown', `the cost of "${field}" is unknown, so the call was not sent`, {
    facts: { field },
    hint,
  })
