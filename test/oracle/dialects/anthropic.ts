/** Anthropic's messages. */
import type { Dice } from '../dice.ts'
import { type Answer, type Exchange, type Frame, Liberties, PRICES, Wire } from '../exchange.ts'
import { type Style, styleOf, type Value, write } from '../json.ts'
import { sealed, text, toolInput, unknownFields } from '../vocabulary.ts'

export function anthropic(dice: Dice, seed: number): Exchange {
  const liberties = new Liberties(dice)
  const isStream = dice.chance(0.75)
  const style = styleOf(dice)
  const cached = dice.chance(0.3) ? dice.number(1, 20) : 0
  const [input, output] = [dice.number(21, 40), dice.number(2, 60)]
  const counts = { input_tokens: input, cache_read_input_tokens: cached, output_tokens: output }
  const failed = liberties.take(0.06, 'refused') ? refusal(dice, liberties, style) : undefined
  const parts = { dice, liberties, style, counts }
  const answer = failed ?? (isStream ? stream(parts) : whole(parts))
  const isBroken = liberties.taken.includes('error inside the stream')
  return {
    seed,
    provider: 'messages',
    path: '/v1/messages',
    headers: { 'anthropic-version': '2023-06-01' },
    body: {
      model: 'oracle',
      max_tokens: 100,
      messages: [{ role: 'user', content: `oracle-${seed}-anthropic ${'word '.repeat(60)}` }],
      ...(isStream && { stream: true }),
    },
    isStream,
    framing: isStream && !failed ? 'sse' : 'json',
    answer: () => answer,
    cost: failed || isBroken ? undefined : input * PRICES.input + cached * PRICES.cached + output * PRICES.output,
    liberties: liberties.taken,
  }
}

interface Parts {
  dice: Dice
  liberties: Liberties
  style: Style
  counts: { input_tokens: number; cache_read_input_tokens: number; output_tokens: number }
}

type Block = { [name: string]: Value } & { type: string }

function blocksOf({ dice, liberties }: Parts): Block[] {
  const blocks: Block[] = []
  if (liberties.take(0.2, 'thinking')) blocks.push({ type: 'thinking', thinking: text(dice), signature: sealed(dice) })
  if (liberties.take(0.1, 'redacted thinking')) blocks.push({ type: 'redacted_thinking', data: sealed(dice) })
  if (dice.chance(0.8)) blocks.push({ type: 'text', text: text(dice, 12) })
  if (dice.chance(0.4) || blocks.length === 0) {
    for (const index of dice.times(dice.number(1, 2), (at) => at)) {
      const name = dice.pick(['write', 'run'])
      blocks.push({ type: 'tool_use', id: `toolu_${index}${dice.number(1, 9_999)}`, name, input: toolInput(dice) })
    }
  }
  return blocks
}

const head = (dice: Dice) => ({
  id: `msg_${dice.number(1, 999_999)}`,
  type: 'message',
  role: 'assistant',
  model: 'oracle',
})

function whole(parts: Parts): Answer {
  const { dice, liberties, style, counts } = parts
  const content = blocksOf(parts)
  const isTool = content.some(({ type }) => type === 'tool_use')
  const message = {
    ...head(dice),
    content,
    stop_reason: isTool ? 'tool_use' : 'end_turn',
    stop_sequence: null,
    usage: { ...counts, cache_creation_input_tokens: 0, service_tier: 'standard' },
    ...unknownFields(dice),
  }
  return new Wire(dice, liberties, 'json').json(write(message, style))
}

function stream(parts: Parts): Answer {
  const { dice, liberties, style, counts } = parts
  const blocks = blocksOf(parts)
  const events: { [name: string]: Value }[] = [
    {
      type: 'message_start',
      message: {
        ...head(dice),
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { ...counts, cache_creation_input_tokens: 0, output_tokens: 1 },
      },
    },
  ]
  if (liberties.take(0.5, 'ping')) events.push({ type: 'ping' })
  for (const [index, block] of blocks.entries()) events.push(...eventsOf(dice, liberties, index, block))
  const isTool = blocks.some(({ type }) => type === 'tool_use')
  const usage = liberties.take(0.2, 'usage whole at the end')
    ? { ...counts, cache_creation_input_tokens: null }
    : { output_tokens: counts.output_tokens }
  const wire = new Wire(dice, liberties, 'sse')
  if (liberties.take(0.06, 'error inside the stream')) {
    const type = dice.pick(['overloaded_error', 'api_error', 'invalid_request_error'])
    const error = { type: 'error', error: { type, message: dice.pick(['Overloaded', 'prompt is too long']) } }
    return wire.sse(framesOf([...events.slice(0, dice.number(1, events.length)), error], style))
  }
  events.push({
    type: 'message_delta',
    delta: { stop_reason: isTool ? 'tool_use' : 'end_turn', stop_sequence: null },
    usage,
  })
  events.push({ type: 'message_stop' })
  return wire.sse(framesOf(events, style))
}

function eventsOf(dice: Dice, liberties: Liberties, index: number, block: Block): { [name: string]: Value }[] {
  const delta = (value: Value) => ({ type: 'content_block_delta', index, delta: value })
  const start = (value: Value) => ({ type: 'content_block_start', index, content_block: value, ...unknownFields(dice) })
  const stop = { type: 'content_block_stop', index }
  switch (block.type) {
    case 'text':
      return [
        start({ type: 'text', text: '' }),
        ...dice.cut(block.text as string).map((piece) => delta({ type: 'text_delta', text: piece })),
        stop,
      ]
    case 'thinking':
      return [
        start({ type: 'thinking', thinking: '', signature: '' }),
        ...dice.cut(block.thinking as string).map((piece) => delta({ type: 'thinking_delta', thinking: piece })),
        delta({ type: 'signature_delta', signature: block.signature }),
        stop,
      ]
    case 'tool_use': {
      const input = write(block.input, { gap: dice.pick(['', ' ']), escapes: false })
      const first = liberties.take(0.3, 'empty first piece')
        ? [delta({ type: 'input_json_delta', partial_json: '' })]
        : []
      return [
        start({ ...block, input: {} }),
        ...first,
        ...dice.cut(input).map((piece) => delta({ type: 'input_json_delta', partial_json: piece })),
        stop,
      ]
    }
    default:
      return [start(block), stop]
  }
}

const framesOf = (events: readonly { [name: string]: Value }[], style: Style): Frame[] =>
  events.map((event) => ({ event: event.type as string, data: write(event, style) }))

function refusal(dice: Dice, liberties: Liberties, style: Style): Answer {
  const status = dice.pick([400, 404, 413])
  const error = { type: 'error', error: { type: 'invalid_request_error', message: `Refused: ${text(dice, 3)}` } }
  return new Wire(dice, liberties, 'json', status).json(write(error, style))
}
