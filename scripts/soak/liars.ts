/**
 * A provider that obeys no limit: it answers every request in full, counts as it likes, and names other models as the
 * author. Clients call it with every way of asking for little; the spending is watched all the while.
 */
import { add, fromUsd, max, type Nanodollars, subtract, usd, ZERO_NANOS } from '../../src/core/money.ts'
import { chatFrames, type Received } from '../../test/support/provider.ts'

/** Each costs $10 a million tokens of output and nothing of input, and answers with 60,000 tokens: $0.60. */
export const LIARS = ['liar-1', 'liar-2', 'liar-3', 'liar-4'] as const
/** The same price, and it keeps its limits. */
export const HONEST = 'honest'
/** Keeps its limits in so many answers, and lies from then on as the first of them does. */
export const LATE = { model: 'late-liar', honestAnswers: 20 } as const
export const MODELS = [...LIARS, LATE.model, HONEST]
export const PRICE = { input_per_mtok: 0, output_per_mtok: 10, context_window: 131_072 }
export const LIE: Nanodollars = fromUsd(usd('0.6'))

const text = [{ role: 'user', content: 'One word.' }]

/** Requests that ask for one token, in all the ways there are. */
export const ASKING: readonly ((model: string) => { path: string; body: object })[] = [
  (model) => ({ path: '/chat/completions', body: { model, messages: text, max_completion_tokens: 1 } }),
  (model) => ({ path: '/chat/completions', body: { model, messages: text, max_tokens: 1 } }),
  (model) => ({ path: '/chat/completions', body: { model, messages: text, max_tokens: 1, stream: true } }),
  (model) => ({ path: '/chat/completions', body: { model, messages: text, max_tokens: 1, deep_search: true } }),
  (model) => ({ path: '/completions', body: { model, prompt: 'One word.' } }),
  (model) => ({ path: '/responses', body: { model, input: 'One word.', max_output_tokens: 1 } }),
]

/** How the liars lie, by their number: they tell the truth of a long answer, an absurd one, an amount, or far too little. */
const LIES = [
  { usage: { prompt_tokens: 10, completion_tokens: 60_000 }, text: 'word' },
  { usage: { prompt_tokens: 90_000_000, completion_tokens: 90_000_000 }, text: 'word' },
  { usage: { prompt_tokens: 10, completion_tokens: 1, cost: 0.6 }, text: 'word' },
  { usage: { prompt_tokens: 1, completion_tokens: 1 }, text: 'word '.repeat(300_000) },
]

/** The answer of a provider of these models to each request: the body of a whole answer, or of a stream. */
export function lyingProvider(): (received: Received) => { type: string; body: string } {
  let lateAnswers = 0
  return (received) => {
    const { model } = JSON.parse(received.body) as { model: string }
    const isLate = model === LATE.model && ++lateAnswers > LATE.honestAnswers
    return answerOf(received, LIES[isLate ? 0 : LIARS.indexOf(model as (typeof LIARS)[number])])
  }
}

function answerOf({ url, body }: Received, lie: Said | undefined): { type: string; body: string } {
  const { model, stream } = JSON.parse(body) as { model: string; stream?: boolean }
  const said = lie ?? { usage: { prompt_tokens: 10, completion_tokens: 1 }, text: 'Yes.' }
  const other = lie ? 'gpt-5-pro' : model
  if (url.includes('/responses')) return json(responseOf(said, other))
  if (stream) return { type: 'text/event-stream', body: chatFrames({ ...said, model: other }) }
  const message = { role: 'assistant', content: said.text }
  return json({
    model: other,
    choices: [{ index: 0, message, text: said.text, finish_reason: 'stop' }],
    usage: said.usage,
  })
}

type Said = (typeof LIES)[number]

const json = (value: object) => ({ type: 'application/json', body: JSON.stringify(value) })

function responseOf({ usage: { prompt_tokens, completion_tokens, ...more }, text }: Said, model: string): object {
  const output = [{ type: 'message', content: [{ type: 'output_text', text }] }]
  return { model, output, usage: { input_tokens: prompt_tokens, output_tokens: completion_tokens, ...more } }
}

export interface LiarSummary {
  calls: number
  /** By status and code of the answer. */
  ends: Record<string, number>
  /** Requests that each model got. */
  sent: Record<string, number>
  /** Rows that cost more than they could within their limits, by model. */
  overruns: Record<string, number>
  spent: Nanodollars
  /** The most that spent and held were above the limit, looked at after every call. */
  overspent: Nanodollars
}

/** Where the calls go, and what became of them. */
export interface LiarCage {
  call(path: string, body: object): Promise<{ status: number; code: string | undefined }>
  balance(): { limit: Nanodollars; spent: Nanodollars; held: Nanodollars }
  rows(): { model: string | null; cost_nanos: Nanodollars; code: string | null }[]
  requests(): readonly Received[]
}

/** `clients` at once make `calls` in all, of every model and in every way by turns. */
export async function callLiars(cage: LiarCage, calls: number, clients: number): Promise<LiarSummary> {
  const summary: LiarSummary = {
    calls,
    ends: {},
    sent: {},
    overruns: {},
    spent: ZERO_NANOS,
    overspent: ZERO_NANOS,
  }
  const count = (counts: Record<string, number>, key: string) => {
    counts[key] = (counts[key] ?? 0) + 1
  }
  let next = 0
  const client = async () => {
    for (let number = next++; number < calls; number = next++) {
      const model = MODELS[number % MODELS.length]!
      const { path, body } = ASKING[Math.floor(number / MODELS.length) % ASKING.length]!(model)
      const { status, code } = await cage.call(path, body)
      count(summary.ends, `${model} ${status}${code === undefined ? '' : ` ${code}`}`)
      const { limit, spent, held } = cage.balance()
      summary.overspent = max(summary.overspent, subtract(add(spent, held), limit))
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  for (const { body } of cage.requests()) count(summary.sent, (JSON.parse(body) as { model: string }).model)
  for (const { model, code } of cage.rows()) if (code === 'overrun') count(summary.overruns, model ?? '')
  summary.spent = cage.balance().spent
  return summary
}
