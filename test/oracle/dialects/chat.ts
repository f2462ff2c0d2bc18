/** OpenAI's chat completions, and the servers that speak them. */
import type { Dice } from '../dice.ts'
import { type Answer, type Exchange, Liberties, PRICES, Wire } from '../exchange.ts'
import { type Style, styleOf, type Value, write } from '../json.ts'
import { sealed, text, toolArguments, unknownFields } from '../vocabulary.ts'

interface Counts {
  input: number
  cached: number
  output: number
  reasoning: number
}

const PROMPT_WORDS = 40

export function chat(dice: Dice, seed: number): Exchange {
  const liberties = new Liberties(dice)
  const isStream = dice.chance(0.75)
  const wantsUsage = isStream && dice.chance(0.6)
  const cached = dice.chance(0.3) ? dice.number(1, 20) : 0
  const output = dice.number(2, 60)
  const counts = {
    input: dice.number(21, 40),
    cached,
    output,
    reasoning: dice.chance(0.2) ? dice.number(1, output) : 0,
  }
  const style = styleOf(dice)
  const hasUsage = !liberties.take(0.05, 'no usage')
  const usage = hasUsage ? usageOf(dice, liberties, counts) : undefined
  const fails = liberties.take(0.06, 'refused')
  const parts = { dice, liberties, style, usage, model: 'oracle' }
  const failed = fails ? refusal(dice, liberties, style) : undefined
  const streamed = isStream && !failed ? stream(parts) : undefined
  const reply = isStream || failed ? undefined : new Wire(dice, liberties, 'json').json(write(completion(parts), style))
  const isBroken = liberties.taken.includes('error inside the stream')
  return {
    seed,
    provider: 'chat',
    path: '/v1/chat/completions',
    headers: {},
    body: {
      model: 'oracle',
      max_tokens: 100,
      messages: [{ role: 'user', content: `oracle-${seed}-chat ${'word '.repeat(PROMPT_WORDS)}` }],
      ...(isStream && { stream: true }),
      ...(wantsUsage && { stream_options: { include_usage: true } }),
    },
    isStream,
    framing: isStream && !failed ? 'sse' : 'json',
    answer: (request) => failed ?? reply ?? streamed!(request.stream_options?.include_usage === true),
    cost: usage && !failed && !isBroken ? costOf(counts) : undefined,
    liberties: liberties.taken,
  }
}

export const costOf = ({ input, cached, output }: Pick<Counts, 'input' | 'cached' | 'output'>): number =>
  (input - cached) * PRICES.input + cached * PRICES.cached + output * PRICES.output

/** Total, parts, and names that repeat parts. */
function usageOf(dice: Dice, liberties: Liberties, { input, cached, output, reasoning }: Counts): Value {
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    ...(dice.chance(0.7) && {
      prompt_tokens_details: {
        cached_tokens: cached,
        audio_tokens: 0,
        ...(liberties.take(0.1, 'unknown part of the prompt') && { video_tokens: dice.number(1, 10) }),
      },
    }),
    ...(dice.chance(0.5) && {
      completion_tokens_details: { reasoning_tokens: reasoning, accepted_prediction_tokens: 0, audio_tokens: 0 },
    }),
    ...(cached > 0 && { prompt_cache_hit_tokens: cached, prompt_cache_miss_tokens: input - cached }),
    ...(reasoning > 0 && liberties.take(0.3, 'reasoning beside the total') && { reasoning_tokens: reasoning }),
    ...(cached > 0 && liberties.take(0.3, 'cache beside the total') && { cache_read_input_tokens: cached }),
    ...(liberties.take(0.1, 'both namings') && { input_tokens: input, output_tokens: output }),
    ...(liberties.take(0.1, 'figures beside tokens') && { total_time: 0.25, cost: null, queue_time: 0.01 }),
  }
}

interface Parts {
  dice: Dice
  liberties: Liberties
  style: Style
  usage: Value
  model: string
}

const idOf = (dice: Dice): string => `chatcmpl-${dice.number(1, 1_000_000)}`

function completion({ dice, liberties, usage, model }: Parts): Value {
  const hasTools = dice.chance(0.3)
  return {
    id: idOf(dice),
    object: 'chat.completion',
    created: 1_764_000_000,
    model,
    choices: dice.times(dice.chance(0.1) ? 2 : 1, (index) => ({
      index,
      message: {
        role: 'assistant',
        content: hasTools ? null : text(dice),
        refusal: null,
        ...(dice.chance(0.2) && { reasoning_content: text(dice) }),
        ...(hasTools && { tool_calls: dice.times(dice.number(1, 2), (call) => toolCall(dice, liberties, call)) }),
      },
      logprobs: null,
      finish_reason: hasTools ? 'tool_calls' : 'stop',
    })),
    ...(usage === undefined ? {} : { usage }),
    ...unknownFields(dice),
  }
}

const toolCall = (dice: Dice, liberties: Liberties, index: number, given = toolArguments(dice)) => ({
  id: `call_${index}${dice.number(1, 100_000)}`,
  type: 'function',
  function: { name: dice.pick(['write', 'run', 'search']), arguments: given },
  ...(liberties.take(0.3, 'signed thought') && { extra_content: { google: { thought_signature: sealed(dice) } } }),
})

function stream({ dice, liberties, style, usage, model }: Parts): (sendsUsage: boolean) => Answer {
  const base = {
    id: idOf(dice),
    object: 'chat.completion.chunk',
    created: 1_764_000_000,
    model,
    ...unknownFields(dice),
  }
  const chunks: { [name: string]: Value }[] = []
  const add = (index: number, delta: Value, finish: string | null = null, more: object = {}) =>
    chunks.push({ ...base, choices: [{ index, delta, logprobs: null, finish_reason: finish }], ...more })
  if (liberties.take(0.1, 'empty choices first')) {
    chunks.push({ ...base, choices: [], prompt_filter_results: [{ prompt_index: 0, content_filter_results: {} }] })
  }
  if (liberties.take(0.05, 'null choices')) chunks.push({ ...base, choices: null })
  const choices = liberties.take(0.1, 'two choices') ? 2 : 1
  for (let index = 0; index < choices; index += 1) {
    add(index, { role: 'assistant', content: dice.pick(['', null]) })
    if (liberties.take(0.2, 'reasoning')) {
      const name = dice.pick(['reasoning_content', 'reasoning'])
      for (const piece of dice.cut(text(dice))) add(index, { [name]: piece })
    }
    if (liberties.take(0.1, 'sealed reasoning')) {
      add(index, { [dice.pick(['reasoning_opaque', 'content_signature', 'encrypted_reasoning'])]: sealed(dice) })
    }
    const hasTools = dice.chance(0.4)
    if (!hasTools) for (const piece of dice.cut(text(dice, 12))) add(index, { content: piece })
    else for (const delta of toolDeltas(dice, liberties)) add(index, { tool_calls: [delta] })
    const more = liberties.take(0.15, 'usage with the finish') && usage !== undefined ? { usage } : {}
    add(index, dice.pick([{}, { content: null }]), hasTools ? 'tool_calls' : 'stop', more)
  }
  if (liberties.take(0.06, 'error inside the stream')) return broken({ dice, liberties, style }, chunks)
  const wire = new Wire(dice, liberties, 'sse')
  const end = { ...base, choices: [], usage }
  return (sendsUsage) => {
    // As OpenAI does: every other chunk has a null usage, unless it has one anyway.
    const shown = sendsUsage ? chunks.map((chunk) => ('usage' in chunk ? chunk : { ...chunk, usage: null })) : chunks
    const all = sendsUsage && usage !== undefined ? [...shown, end] : shown
    return wire.sse(
      all.map((chunk) => ({ data: write(chunk, style) })),
      '[DONE]',
    )
  }
}

function toolDeltas(dice: Dice, liberties: Liberties): Value[] {
  return dice
    .times(dice.number(1, 2), (index) => index)
    .flatMap((index) => {
      const given = toolArguments(dice)
      if (liberties.take(0.2, 'arguments in one piece')) return [{ index, ...toolCall(dice, liberties, index, given) }]
      const first = { index, ...toolCall(dice, liberties, index, '') }
      return [first, ...dice.cut(given).map((piece) => ({ index, function: { arguments: piece } }))]
    })
}

/** The provider's own error after some frames, and no end. */
function broken(
  { dice, liberties, style }: Pick<Parts, 'dice' | 'liberties' | 'style'>,
  chunks: readonly Value[],
): () => Answer {
  const error = {
    error: {
      message: `Worker local total request limit reached ${text(dice, 2)}`,
      type: dice.pick(['invalid_request_error', 'server_error', 'rate_limit_error']),
      code: dice.pick(['context_length_exceeded', null, 502]),
      param: null,
    },
  }
  const kept = chunks.slice(0, dice.number(0, chunks.length - 1))
  const frames = [...kept, error].map((chunk) => ({ data: write(chunk, style) }))
  const answer = new Wire(dice, liberties, 'sse').sse(frames)
  return () => answer
}

function refusal(dice: Dice, liberties: Liberties, style: Style): Answer {
  const status = dice.pick([400, 404, 413, 422])
  const error = {
    message: `This is refused: ${text(dice, 3)}`,
    type: 'invalid_request_error',
    param: 'messages',
    code: null,
  }
  return new Wire(dice, liberties, 'json', status).json(write({ error }, style))
}
