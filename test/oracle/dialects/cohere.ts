/** Cohere's chat, version 2. */
import type { Dice } from '../dice.ts'
import { type Answer, type Exchange, Liberties, PRICES, Wire } from '../exchange.ts'
import { type Style, styleOf, type Value, write } from '../json.ts'
import { text, toolArguments, unknownFields } from '../vocabulary.ts'

export function cohere(dice: Dice, seed: number): Exchange {
  const liberties = new Liberties(dice)
  const isStream = dice.chance(0.75)
  const style = styleOf(dice)
  const [input, output] = [dice.number(21, 40), dice.number(2, 60)]
  const tokens = { input_tokens: input, output_tokens: output }
  const usage = { billed_units: tokens, tokens }
  const said = text(dice, 12)
  const call = dice.chance(0.4)
    ? {
        id: `write_${dice.number(1, 999)}`,
        type: 'function',
        function: { name: 'write', arguments: toolArguments(dice) },
      }
    : undefined
  const finish_reason = call ? 'TOOL_CALL' : 'COMPLETE'
  const id = `c-${seed}`
  const message = call
    ? { role: 'assistant', tool_plan: said, tool_calls: [call] }
    : { role: 'assistant', content: [{ type: 'text', text: said }] }
  const answer = isStream
    ? stream({ dice, liberties, style, said, call, id, end: { finish_reason, usage } })
    : new Wire(dice, liberties, 'json').json(
        write({ id, finish_reason, message, usage, ...unknownFields(dice) }, style),
      )
  return {
    seed,
    provider: 'command',
    path: '/v2/chat',
    headers: {},
    body: {
      model: 'oracle',
      max_tokens: 100,
      messages: [{ role: 'user', content: `oracle-${seed}-cohere ${'word '.repeat(40)}` }],
      stream: isStream,
    },
    isStream,
    framing: isStream ? 'sse' : 'json',
    answer: () => answer,
    cost: input * PRICES.input + output * PRICES.output,
    liberties: liberties.taken,
  }
}

interface Streamed {
  dice: Dice
  liberties: Liberties
  style: Style
  said: string
  call: { id: string; type: string; function: { name: string; arguments: string } } | undefined
  id: string
  end: Value
}

function stream({ dice, liberties, style, said, call, id, end }: Streamed): Answer {
  const delta = (message: Value) => ({ delta: { message } })
  const events: { [name: string]: Value }[] = [
    { type: 'message-start', id, ...delta({ role: 'assistant', content: [], tool_plan: '', tool_calls: [] }) },
  ]
  if (call) {
    const { arguments: given, name } = call.function
    events.push(...dice.cut(said).map((piece) => ({ type: 'tool-plan-delta', ...delta({ tool_plan: piece }) })))
    const begun = { ...call, function: { name, arguments: '' } }
    events.push({ type: 'tool-call-start', index: 0, ...delta({ tool_calls: begun }) })
    for (const piece of dice.cut(given)) {
      events.push({ type: 'tool-call-delta', index: 0, ...delta({ tool_calls: { function: { arguments: piece } } }) })
    }
    events.push({ type: 'tool-call-end', index: 0 })
  } else {
    events.push({ type: 'content-start', index: 0, ...delta({ content: { type: 'text', text: '' } }) })
    for (const piece of dice.cut(said)) {
      events.push({ type: 'content-delta', index: 0, ...delta({ content: { text: piece } }) })
    }
    events.push({ type: 'content-end', index: 0 })
  }
  events.push({ type: 'message-end', id, delta: end })
  const frames = events.map((event) => ({ event: event.type as string, data: write(event, style) }))
  return new Wire(dice, liberties, 'sse').sse(frames)
}
