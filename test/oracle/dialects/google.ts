/** Google's generateContent. */
import type { Dice } from '../dice.ts'
import { type Exchange, Liberties, PRICES, Wire } from '../exchange.ts'
import { styleOf, type Value, write } from '../json.ts'
import { sealed, text, toolInput, unknownFields } from '../vocabulary.ts'

export function google(dice: Dice, seed: number): Exchange {
  const liberties = new Liberties(dice)
  const isStream = dice.chance(0.75)
  const style = styleOf(dice)
  const [input, output] = [dice.number(21, 40), dice.number(2, 40)]
  const thoughts = liberties.take(0.3, 'thoughts') ? dice.number(1, 30) : 0
  const usage = {
    promptTokenCount: input,
    candidatesTokenCount: output,
    ...(thoughts > 0 && { thoughtsTokenCount: thoughts }),
    totalTokenCount: input + output + thoughts,
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: input }],
  }
  const parts = partsOf(dice, liberties)
  const candidate = (some: Value, finishReason?: string) => ({
    candidates: [{ content: { role: 'model', parts: some }, ...(finishReason && { finishReason }), index: 0 }],
    usageMetadata: finishReason ? usage : { promptTokenCount: input, totalTokenCount: input },
    modelVersion: 'oracle',
    responseId: `r-${seed}`,
    ...unknownFields(dice),
  })
  const streamed = () =>
    new Wire(dice, liberties, 'sse').sse(
      parts.map((part, index) => ({
        data: write(candidate([part], index === parts.length - 1 ? 'STOP' : undefined), style),
      })),
    )
  const answer = isStream ? streamed() : new Wire(dice, liberties, 'json').json(write(candidate(parts, 'STOP'), style))
  const method = isStream ? 'streamGenerateContent?alt=sse' : 'generateContent'
  return {
    seed,
    provider: 'gemini',
    path: `/v1beta/models/oracle:${method}`,
    headers: {},
    body: {
      contents: [{ role: 'user', parts: [{ text: `oracle-${seed}-google ${'word '.repeat(40)}` }] }],
      generationConfig: { maxOutputTokens: 100 },
    },
    isStream,
    framing: isStream ? 'sse' : 'json',
    answer: () => answer,
    cost: input * PRICES.input + (output + thoughts) * PRICES.output,
    liberties: liberties.taken,
  }
}

function partsOf(dice: Dice, liberties: Liberties): Value[] {
  const parts: Value[] = []
  if (dice.chance(0.3)) parts.push(...dice.cut(text(dice)).map((piece) => ({ text: piece, thought: true })))
  parts.push(...dice.cut(text(dice, 12)).map((piece) => ({ text: piece })))
  if (dice.chance(0.4)) {
    const functionCall = { name: dice.pick(['write', 'run']), args: toolInput(dice) }
    parts.push({ functionCall, ...(liberties.take(0.6, 'signed thought') && { thoughtSignature: sealed(dice) }) })
  }
  if (liberties.take(0.1, 'signature alone')) parts.push({ text: '', thoughtSignature: sealed(dice) })
  return parts
}
