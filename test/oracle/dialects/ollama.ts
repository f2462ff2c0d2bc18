/** Ollama's chat. */
import type { Dice } from '../dice.ts'
import { type Exchange, Liberties, PRICES, Wire } from '../exchange.ts'
import { styleOf, type Value, write } from '../json.ts'
import { text, toolInput, unknownFields } from '../vocabulary.ts'

export function ollama(dice: Dice, seed: number): Exchange {
  const liberties = new Liberties(dice)
  const isStream = dice.chance(0.75)
  const style = styleOf(dice)
  const [input, output] = [dice.number(21, 40), dice.number(2, 60)]
  const base = { model: 'oracle', created_at: '2026-11-25T10:00:00.123456789Z' }
  const end = {
    done: true,
    done_reason: 'stop',
    total_duration: 5_043_500_667,
    load_duration: 5_025_959,
    prompt_eval_count: input,
    prompt_eval_duration: 325_953_000,
    eval_count: output,
    eval_duration: 4_709_213_000,
  }
  const calls = dice.chance(0.3)
    ? [{ function: { name: dice.pick(['write', 'run']), arguments: toolInput(dice) } }]
    : []
  const tools = calls.length > 0 ? { tool_calls: calls } : {}
  const said = text(dice, 12)
  const frame = (message: Value, more: Value = { done: false }) => ({ ...base, message, ...(more as object) })
  const frames = [
    ...dice.cut(said).map((content) => frame({ role: 'assistant', content, ...unknownFields(dice) })),
    ...(calls.length > 0 ? [frame({ role: 'assistant', content: '', ...tools })] : []),
    frame({ role: 'assistant', content: '' }, end),
  ]
  const answer = isStream
    ? new Wire(dice, liberties, 'lines').lines(frames.map((one) => ({ data: write(one, style) })))
    : new Wire(dice, liberties, 'json').json(write(frame({ role: 'assistant', content: said, ...tools }, end), style))
  return {
    seed,
    provider: 'llama',
    path: '/api/chat',
    headers: {},
    body: {
      model: 'oracle',
      messages: [{ role: 'user', content: `oracle-${seed}-ollama ${'word '.repeat(40)}` }],
      options: { num_predict: 100 },
      stream: isStream,
    },
    isStream,
    framing: isStream ? 'lines' : 'json',
    answer: () => answer,
    cost: input * PRICES.input + output * PRICES.output,
    liberties: liberties.taken,
  }
}
