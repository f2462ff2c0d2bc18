/** OpenAI's responses. */
import type { Dice } from '../dice.ts'
import { type Answer, type Exchange, Liberties, Wire } from '../exchange.ts'
import { type Style, styleOf, type Value, write } from '../json.ts'
import { sealed, text, toolArguments, unknownFields } from '../vocabulary.ts'
import { costOf } from './chat.ts'

export function responses(dice: Dice, seed: number): Exchange {
  const liberties = new Liberties(dice)
  const isStream = dice.chance(0.75)
  const style = styleOf(dice)
  const cached = dice.chance(0.3) ? dice.number(1, 20) : 0
  const counts = { input: dice.number(21, 40), cached, output: dice.number(2, 60) }
  const usage = {
    input_tokens: counts.input,
    input_tokens_details: { cached_tokens: cached },
    output_tokens: counts.output,
    output_tokens_details: { reasoning_tokens: dice.number(0, counts.output) },
    total_tokens: counts.input + counts.output,
  }
  const items = itemsOf(dice, liberties)
  const response = (status: string, output: Value, more: Value = {}) => ({
    id: `resp_${seed}`,
    object: 'response',
    created_at: 1_764_000_000,
    status,
    model: 'oracle',
    error: null,
    output,
    parallel_tool_calls: true,
    ...(more as object),
  })
  const answer = isStream
    ? stream(dice, liberties, style, items, usage, response)
    : new Wire(dice, liberties, 'json').json(
        write({ ...response('completed', items, { usage }), ...unknownFields(dice) }, style),
      )
  return {
    seed,
    provider: 'chat',
    path: '/v1/responses',
    headers: {},
    body: {
      model: 'oracle',
      max_output_tokens: 100,
      input: `oracle-${seed}-responses ${'word '.repeat(40)}`,
      ...(isStream && { stream: true }),
    },
    isStream,
    framing: isStream ? 'sse' : 'json',
    answer: () => answer,
    cost: costOf(counts),
    liberties: liberties.taken,
  }
}

type Item = { [name: string]: Value } & { type: string }

function itemsOf(dice: Dice, liberties: Liberties): Item[] {
  const items: Item[] = []
  if (liberties.take(0.3, 'sealed reasoning')) {
    items.push({ id: 'rs_1', type: 'reasoning', summary: [], encrypted_content: sealed(dice) })
  }
  if (dice.chance(0.7)) {
    const content = [{ type: 'output_text', text: text(dice, 12), annotations: [], logprobs: [] }]
    items.push({ id: 'msg_1', type: 'message', status: 'completed', role: 'assistant', content })
  }
  if (dice.chance(0.4) || items.length === 0) {
    items.push({
      id: 'fc_1',
      type: 'function_call',
      status: 'completed',
      name: dice.pick(['write', 'run']),
      call_id: `call_${dice.number(1, 9_999)}`,
      arguments: toolArguments(dice),
    })
  }
  return items
}

function stream(
  dice: Dice,
  liberties: Liberties,
  style: Style,
  items: readonly Item[],
  usage: Value,
  response: (status: string, output: Value, more?: Value) => Value,
): Answer {
  const events: { [name: string]: Value }[] = [
    { type: 'response.created', response: response('in_progress', []) },
    { type: 'response.in_progress', response: response('in_progress', []) },
  ]
  for (const [index, item] of items.entries()) events.push(...eventsOf(dice, index, item))
  if (liberties.take(0.1, 'unknown event')) events.push({ type: 'response.of_tomorrow', note: text(dice, 2) })
  const end = liberties.take(0.1, 'incomplete') ? 'incomplete' : 'completed'
  const more = end === 'incomplete' ? { usage, incomplete_details: { reason: 'max_output_tokens' } } : { usage }
  events.push({ type: `response.${end}`, response: response(end, items as Value, more) })
  const frames = events.map((event, sequence_number) => ({
    event: event.type as string,
    data: write({ ...event, sequence_number }, style),
  }))
  return new Wire(dice, liberties, 'sse').sse(frames)
}

function eventsOf(dice: Dice, output_index: number, item: Item): { [name: string]: Value }[] {
  const place = { output_index, item_id: item.id }
  const done = { type: 'response.output_item.done', output_index, item }
  if (item.type === 'message') {
    const [part] = item.content as { text: string }[]
    const empty = { ...part, text: '' } as Value
    const at = { ...place, content_index: 0 }
    return [
      { type: 'response.output_item.added', output_index, item: { ...item, status: 'in_progress', content: [] } },
      { type: 'response.content_part.added', ...at, part: empty },
      ...dice.cut(part!.text).map((delta) => ({ type: 'response.output_text.delta', ...at, delta, logprobs: [] })),
      { type: 'response.output_text.done', ...at, text: part!.text, logprobs: [] },
      { type: 'response.content_part.done', ...at, part: part as Value },
      done,
    ]
  }
  if (item.type === 'function_call') {
    const given = item.arguments as string
    return [
      { type: 'response.output_item.added', output_index, item: { ...item, status: 'in_progress', arguments: '' } },
      ...dice.cut(given).map((delta) => ({ type: 'response.function_call_arguments.delta', ...place, delta })),
      { type: 'response.function_call_arguments.done', ...place, arguments: given },
      done,
    ]
  }
  return [{ type: 'response.output_item.added', output_index, item }, done]
}
