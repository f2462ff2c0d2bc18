import { describe, expect, test } from 'vitest'
import { costOf, isExact, Prices } from '../../src/budget/prices.ts'
import { toUsd } from '../../src/core/money.ts'
import { anthropic } from '../../src/dialects/anthropic/dialect.ts'
import type { Format, Redactions, ReportedUsage } from '../../src/dialects/dialect.ts'
import type { JsonObject } from '../../src/dialects/json.ts'
import { openai } from '../../src/dialects/openai/dialect.ts'
import { findRoute } from '../../src/dialects/routes.ts'
import { GOLDEN, GOLDEN_DAY, type GoldenRow } from './golden.ts'

const DIALECTS = { openai, anthropic }

/** The cost of a row by the program, from the provider's report to the string that is charged. */
async function priced(
  provider: 'openai' | 'anthropic',
  { model, day }: GoldenRow,
  reported: ReportedUsage | undefined,
) {
  if (!reported?.isFinal) return { usd: null, isEstimate: false }
  const price = await new Prices(
    { prices: {}, providers: {} },
    { now: () => Date.parse(`${day ?? GOLDEN_DAY}T12:00:00Z`) },
  ).get(provider, model)
  return {
    usd: toUsd(costOf(price, reported.usage)),
    isEstimate: reported.isRepaired || !isExact(price, reported.usage),
  }
}

/** The same reply as the frames of a stream; null where a route is never streamed. */
function framesOf(path: string, reply: JsonObject): object[] | null {
  switch (path) {
    case '/embeddings':
      return null
    case '/responses':
      return [{ type: 'response.completed', response: reply }]
    case '/messages': {
      // The input comes first, and the last frame omits it.
      const { output_tokens, ...input } = (reply.usage ?? {}) as JsonObject
      const open = Object.fromEntries(Object.keys(input).map((name) => [name, null]))
      return [
        { type: 'message_start', message: { usage: { ...input, output_tokens: 1 } } },
        { type: 'message_delta', delta: {}, usage: { ...open, output_tokens } },
      ]
    }
    default:
      // The service tier stands on the chunks before as well, where some servers leave it.
      return [
        { ...reply, choices: [{ index: 0, delta: {}, text: '' }], usage: null },
        { choices: [], usage: reply.usage },
      ]
  }
}

function streamed(format: Format, frames: object[]): ReportedUsage | undefined {
  const asItIs: Redactions = {
    whole: (text) => text,
    known: (text) => text,
    again: (text) => text,
    push: (_channel, text) => ({ safe: text }),
    next: (_channel, text) => text,
    began: () => undefined,
    end: () => undefined,
    joined: () => undefined,
    tokenIds: (ids) => ids,
    signature: () => '',
  }
  const reader = format.readStream(asItIs, true)
  for (const frame of frames) reader.read({ event: null, data: JSON.stringify(frame) })
  return reader.usage()
}

test('the golden table has at least sixty rows', () => {
  expect(GOLDEN.flatMap(({ rows }) => rows).length).toBeGreaterThanOrEqual(60)
})

describe.each(GOLDEN)('$path of $provider matches the price of the vendor', ({ provider, path, rows }) => {
  const format = findRoute(DIALECTS[provider].routes, 'POST', path, true).route as Format

  test.each(rows)('$name: $worked', async (row) => {
    const reply = row.reply as JsonObject
    const expected = { usd: row.usd, isEstimate: row.isEstimate ?? false }
    expect(await priced(provider, row, format.usageOf(reply))).toEqual(expected)
    const frames = framesOf(path, reply)
    if (frames) expect(await priced(provider, row, streamed(format, frames))).toEqual(expected)
  })
})
