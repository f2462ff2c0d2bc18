/** Many calls at once on little money: decisions about money are synchronous. */
import { describe, expect, test } from 'vitest'
import { answer, chatFrames, sends, streams } from '../support/provider.ts'
import {
  openTestRuntime,
  patientClock,
  type Reply,
  type TestAgent,
  type TestRuntime,
  until,
} from '../support/runtime.ts'

const tokens = (completion_tokens: number) => answer({ usage: { prompt_tokens: 10, completion_tokens } })

/** Looks at the balance at every event, at every request that reaches the provider, and at every turn of the loop. */
function watchBalance(cage: TestRuntime, agent: TestAgent) {
  const samples = { count: 0, worst: Number.NEGATIVE_INFINITY, stop: () => clearInterval(everyTurn) }
  const sample = () => {
    const { limit, spent, held } = cage.runtime.ledger.accounts.balance(agent.id)
    samples.count += 1
    samples.worst = Math.max(samples.worst, spent + held - limit)
  }
  cage.runtime.state.subscribe(sample)
  const { requests } = cage.provider
  const push = requests.push.bind(requests)
  requests.push = (...received) => {
    sample()
    return push(...received)
  }
  const everyTurn = setInterval(sample, 0)
  return samples
}

function statuses(replies: readonly Reply[]): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const { status } of replies) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

describe('many calls at once', () => {
  test('two of two hundred calls of $0.004 are paid by the last cent, the others are refused', async () => {
    const cage = await openTestRuntime({ clock: patientClock })
    const agent = cage.addAgent({ limit: '0.01' })
    cage.provider.does(tokens(4))
    const samples = watchBalance(cage, agent)
    const replies = await Promise.all(Array.from({ length: 200 }, () => agent.chat({ max_tokens: 4 })))
    samples.stop()
    expect(statuses(replies)).toEqual({ 200: 2, 402: 198 })
    expect(cage.provider.requests).toHaveLength(2)
    expect(agent.balance()).toEqual({ limit: '0.01', spent: '0.008', held: '0' })
    expect(samples.count).toBeGreaterThan(4)
    expect(samples.worst).toBeLessThanOrEqual(0)
    expect(cage.rows().map(({ state, held_nanos, cost_nanos }) => [state, held_nanos, cost_nanos])).toEqual([
      ['charged', 4_000_000, 4_000_000],
      ['charged', 4_000_000, 4_000_000],
    ])
    expect(cage.of('budget.exhausted')).toHaveLength(1)
  })

  test('fifty of a thousand calls of $0.10 are paid by $5, which are spent exactly', async () => {
    const cage = await openTestRuntime({ clock: patientClock })
    const agent = cage.addAgent({ limit: '5' })
    cage.provider.does(tokens(100))
    const samples = watchBalance(cage, agent)
    const replies = await Promise.all(Array.from({ length: 1_000 }, () => agent.chat({ max_tokens: 100 })))
    samples.stop()
    expect(statuses(replies)).toEqual({ 200: 50, 402: 950 })
    expect(cage.provider.requests).toHaveLength(50)
    expect(agent.balance()).toEqual({ limit: '5', spent: '5', held: '0' })
    expect(samples.worst).toBeLessThanOrEqual(0)
    expect(cage.rows()).toHaveLength(50)
    expect(cage.runtime.state.read().agents[agent.id]?.spent_usd).toBe('5')
  })

  test('refused calls reach no provider, however often they are repeated', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '0.001' })
    await agent.chat({ max_tokens: 4 })
    for (let call = 0; call < 50; call++) expect((await agent.chat({ max_tokens: 4 })).status).toBe(402)
    expect(cage.provider.requests).toEqual([])
  })

  test('calls that each cost less than they hold are all paid in the end, and none is refused too early', async () => {
    const cage = await openTestRuntime({ clock: patientClock })
    const agent = cage.addAgent({ limit: '0.02' })
    cage.provider.does(tokens(1))
    const samples = watchBalance(cage, agent)
    const replies = await Promise.all(Array.from({ length: 10 }, () => agent.chat({ max_tokens: 8 })))
    samples.stop()
    expect(statuses(replies)).toEqual({ 200: 10 })
    expect(agent.balance()).toEqual({ limit: '0.02', spent: '0.01', held: '0' })
    expect(samples.worst).toBeLessThanOrEqual(0)
  })

  test('a hundred clients that leave at any moment leave no hold behind, and pay for each sent request', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '100' })
    const frames = chatFrames({ text: Array(20).fill('word ') }).split(/(?<=\n\n)/)
    cage.provider.does(streams(frames))
    await Promise.all(
      Array.from({ length: 100 }, async (_, number) => {
        const leaving = new AbortController()
        const timer = setTimeout(() => leaving.abort(), number)
        const read = async () => (await agent.open({ model: 'plain' }, leaving.signal)).body.dump({ limit: 1e9 })
        await read().catch(() => undefined)
        clearTimeout(timer)
      }),
    )
    await until(() => agent.balance().held === '0', 'every hold ends')
    const rows = cage.rows()
    expect(rows.length).toBeGreaterThanOrEqual(cage.provider.requests.length)
    expect(rows.filter(({ state }) => state === 'charged').length).toBeGreaterThanOrEqual(cage.provider.requests.length)
    expect(rows.every(({ state, cost_nanos }) => (state === 'charged') === cost_nanos > 0)).toBe(true)
    expect(rows.reduce((sum, { cost_nanos }) => sum + cost_nanos, 0)).toBe(
      cage.runtime.ledger.accounts.balance(agent.id).spent,
    )
    expect(cage.of('call.completed').length + cage.of('call.failed').length).toBe(rows.length)
  })

  test('calls that all fail leave the whole budget', async () => {
    const cage = await openTestRuntime({ clock: patientClock })
    const agent = cage.addAgent({ limit: '0.01' })
    cage.provider.does(sends(400, { 'content-type': 'application/json' }, { error: { message: 'no' } }))
    const replies = await Promise.all(Array.from({ length: 40 }, () => agent.chat({ max_tokens: 4 })))
    expect(statuses(replies)).toEqual({ 400: 40 })
    expect(agent.balance()).toEqual({ limit: '0.01', spent: '0', held: '0' })
    expect(cage.rows().every(({ state, cost_nanos }) => state === 'released' && cost_nanos === 0)).toBe(true)
  })
})
