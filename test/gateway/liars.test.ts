/**
 * A short form of `scripts/soak/hard-budget.ts`: a provider that obeys no limit, lies and answers with other models.
 */

import { expect, test } from 'vitest'
import { callLiars, HONEST, LATE, LIARS, lyingProvider, MODELS, PRICE } from '../../scripts/soak/liars.ts'
import { dollars } from '../support/money.ts'
import { openTestRuntime } from '../support/runtime.ts'

test.each([
  {
    limit: '100',
    what: 'once with each call that was under way, all held at the most, with money for everything',
    most: 50,
  },
  { limit: '1', what: 'once with each model, with less than one of its answers can cost', most: 1 },
])('a provider that obeys no limit overruns $what', async ({ limit, most }) => {
  const prices = Object.fromEntries(MODELS.map((model) => [model, PRICE]))
  const cage = await openTestRuntime({
    isUnknown: true,
    others: { vllm: {} },
    prices,
    budget: { on_exhausted: 'refuse' },
  })
  const answerOf = lyingProvider()
  cage.provider.does((response, received) => {
    const { type, body } = answerOf(received)
    response.writeHead(200, { 'content-type': type })
    response.end(body)
  })
  const agent = cage.addAgent({ limit })
  const summary = await callLiars(
    {
      async call(path, body) {
        const reply = await agent.send('vllm', 'POST', path, JSON.stringify(body))
        const code = reply.status === 200 ? undefined : (reply.json() as { error: { code: string } }).error.code
        return { status: reply.status, code }
      },
      balance: () => cage.runtime.ledger.accounts.balance(agent.id),
      rows: () => cage.rows(),
      requests: () => cage.provider.requests,
    },
    360,
    50,
  )
  for (const model of LIARS) {
    expect(summary.sent[model] ?? 0).toBeLessThanOrEqual(most)
    // The others under way are ended, at no more than was held for them.
    if (most === 1) expect(summary.overruns[model]).toBe(summary.sent[model])
    else expect(summary.overruns[model]).toBeGreaterThan(0)
  }
  expect(summary.overruns[HONEST]).toBeUndefined()
  expect(summary.overruns[LATE.model] ?? 0).toBeLessThanOrEqual(LATE.honestAnswers + 1)
  if (limit === '100') {
    expect(summary.overspent).toBeLessThanOrEqual(0)
    expect(summary.sent[HONEST]).toBe(60)
    expect(summary.overruns[LATE.model]).toBeGreaterThan(0)
  }
  // No more than one answer in full for each of the others.
  if (limit === '1') {
    expect(summary.spent).toBeLessThan(dollars('6') + (summary.overruns[LATE.model] ?? 0) * dollars('0.6'))
  }
})
