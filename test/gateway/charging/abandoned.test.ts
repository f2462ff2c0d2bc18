/** The charge of a call whose client left before the end of the answer. */
import { expect, test } from 'vitest'
import { nanodollars } from '../../../src/core/money.ts'
import { TEXT_ONLY } from '../../../src/dialects/dialect.ts'
import { abandonedCost } from '../../../src/gateway/charging/abandoned.ts'

const priced = (factor = 1, hold = 1_000) =>
  ({ bound: { maxCost: 500 }, hold: { maxCost: nanodollars(hold) }, admission: { factor } }) as unknown as Parameters<
    typeof abandonedCost
  >[1]
const begun = { hasBegun: true, isBehind: false }

test.each([
  { what: 'that had not begun', answer: { hasBegun: false, isBehind: false }, cost: 500 },
  { what: 'whose client had not read it', answer: { hasBegun: true, isBehind: true }, cost: 500 },
  { what: 'of a model that reasons unseen', model: 'gpt-5', cost: 500 },
  { what: 'of an unknown model', model: 'llama-4', cost: 500 },
  { what: 'with thinking', model: 'claude-sonnet-4-5', mayThink: true, cost: 500 },
  { what: 'with searches by the provider', demands: { serverTools: { count: 1, uses: 1 } }, cost: 500 },
  { what: 'that showed all its tokens', cost: undefined },
  { what: 'that showed all its tokens, under the vendor’s name', model: 'openai/gpt-4o-mini', cost: undefined },
  { what: 'that showed all its tokens, without thinking', model: 'claude-sonnet-4-5', cost: undefined },
])('an answer $what is charged $cost', ({ model = 'gpt-4o', mayThink = false, answer = begun, demands, cost }) => {
  const call = { model, mayThink, demands: { ...TEXT_ONLY, ...demands } }
  expect(abandonedCost(call, priced(), answer)).toBe(cost)
})

test('no abandoned call is charged more than was held for it', () => {
  const call = { model: 'o3', mayThink: false, demands: TEXT_ONLY }
  expect([abandonedCost(call, priced(1.5), begun), abandonedCost(call, priced(3), begun)]).toEqual([750, 1_000])
})
