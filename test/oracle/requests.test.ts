import { expect, test } from 'vitest'
import { boundCall } from '../../src/budget/estimate.ts'
import type { Price } from '../../src/budget/price.ts'
import { CageError } from '../../src/core/errors.ts'
import { nanodollars } from '../../src/core/money.ts'
import { anthropic } from '../../src/dialects/anthropic/dialect.ts'
import { bedrock } from '../../src/dialects/bedrock/dialect.ts'
import { cohere } from '../../src/dialects/cohere/dialect.ts'
import type { Demands, Format } from '../../src/dialects/dialect.ts'
import { google } from '../../src/dialects/google/dialect.ts'
import { openai } from '../../src/dialects/openai/dialect.ts'
import { findRoute } from '../../src/dialects/routes.ts'
import { Dice } from './dice.ts'
import { type Bill, type Reason, worstBill } from './requests/bill.ts'
import { hostileRequest } from './requests/mutate.ts'
import { ordinaryRequest } from './requests/ordinary.ts'
import type { AgentRequest, DialectName } from './requests/request.ts'

/** No request costs more than its hold, and the hold of an ordinary one is close to its possible cost. */

const CASES = Number(process.env.ORACLE_REQUESTS ?? 5_000)

const WINDOW = 1_000_000
const ANSWER = 32_000
const [INPUT, AUDIO, OUTPUT] = [1, 4, 8]
const rate = (usdPerMtok: number) => ({ base: usdPerMtok * 1_000_000, tiers: [] })
const PRICE: Price = {
  input: rate(INPUT),
  cachedInput: rate(INPUT),
  cacheWrite: rate(INPUT),
  cacheWriteHour: rate(INPUT),
  output: rate(OUTPUT),
  audioInput: rate(AUDIO),
  audioOutput: rate(OUTPUT),
  contextWindow: WINDOW,
  outputLimit: ANSWER,
  maxAnswerTokens: ANSWER,
  source: 'test',
}
const PLENTY = nanodollars(1e15)

const post = (dialect: Parameters<typeof findRoute>[0], path: string) =>
  findRoute(dialect, 'POST', path, true).route as Format
const FORMATS: Record<DialectName, Format> = {
  chat: post(openai.routes, '/chat/completions'),
  responses: post(openai.routes, '/responses'),
  anthropic: post(anthropic.routes, '/messages'),
  google: post(google.routes, '/models/some-model:generateContent'),
  converse: post(bedrock.routes, '/model/some-model/converse'),
  cohere: post(cohere.routes, '/v2/chat'),
}

/** The hold, in dollars; undefined for a request that is refused. Nothing that it names was delivered before. */
async function heldFor({ dialect, body }: AgentRequest): Promise<number | undefined> {
  try {
    const { demands, maxOutputTokens, answers, model } = FORMATS[dialect].readCall(body)
    const isUnseen = demands.references.length > 0 && { isInputUnseen: true, audioBytes: Number.POSITIVE_INFINITY }
    const asked: Demands = { ...demands, ...isUnseen }
    const bytes = Buffer.byteLength(JSON.stringify(body))
    const size = { bytes, maxOutputTokens, answers, model, text: null, demands: asked }
    return (await boundCall(PRICE, size, PLENTY, false)).maxCost / 1e9
  } catch (error) {
    if (error instanceof CageError) return undefined
    throw error
  }
}

const costOf = ({ inputTokens, audioTokens, outputTokens }: Bill): number =>
  ((inputTokens - audioTokens) * INPUT + audioTokens * AUDIO + outputTokens * OUTPUT) / 1e6

test(`none of ${CASES} hostile requests can cost more than its hold`, async () => {
  const under: object[] = []
  const firsts: Partial<Record<Reason, number>> = {}
  let refused = 0
  for (let seed = 1; seed <= CASES; seed++) {
    const request = hostileRequest(new Dice(seed))
    const held = await heldFor(request)
    if (held === undefined) {
      refused++
      continue
    }
    const bill = worstBill(request, { window: WINDOW, answer: ANSWER })
    if (held + 1e-9 >= costOf(bill)) continue
    for (const reason of bill.reasons) firsts[reason] ??= seed
    under.push({ seed, held, bill: costOf(bill), reasons: [...bill.reasons].join(), request: JSON.stringify(request) })
  }
  if (process.env.ORACLE_SHOWS) console.log({ under: under.length, refused, firsts })
  expect(under.slice(0, 3)).toEqual([])
  // Some are nonsense, most are not.
  expect(refused).toBeLessThan(CASES / 2)
})

test('none of a thousand ordinary requests is refused, or held above three times its possible cost', async () => {
  const wrong: object[] = []
  for (let seed = 1; seed <= 1_000; seed++) {
    const request = ordinaryRequest(new Dice(seed))
    const held = await heldFor(request)
    const bill = costOf(worstBill(request, { window: WINDOW, answer: ANSWER }))
    if (held === undefined || held < bill || held > bill * 3)
      wrong.push({ seed, held, bill, request: JSON.stringify(request) })
  }
  if (process.env.ORACLE_SHOWS) console.log({ wrong: wrong.length })
  expect(wrong.slice(0, 3)).toEqual([])
})
