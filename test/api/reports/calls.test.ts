import { expect, test } from 'vitest'
import type { CallDetail, FoundCalls } from '../../../src/state/call-view.ts'
import { openTestRuntime } from '../../support/runtime.ts'

test('calls can be filtered by their properties and unit of work, and exported', async () => {
  const cage = await openTestRuntime()
  const { access_token } = await cage.login()
  const [lister, other] = [cage.addAgent({ name: 'lister' }), cage.addAgent({ name: 'other' })]
  const find = async (query: string) =>
    (await cage.get(`/api/calls?${query}`, access_token)).json() as unknown as FoundCalls
  await lister.chat()
  await cage.post('/api/run/progress', { done: 1, total: 2, unit: 'leads' }, lister.token)
  await lister.chat()
  await other.chat({ model: 'nobody-knows' })
  await other.chat()

  const { calls, next } = await find('')
  expect(next).toBeNull()
  expect(calls.map(({ agent_id, unit }) => [agent_id, unit])).toEqual([
    [other.id, null],
    [other.id, null],
    [lister.id, 'lead 2'],
    [lister.id, null],
  ])
  expect((await find(`agent_id=${lister.id}&unit=lead%202`)).calls.map(({ id }) => id)).toEqual([calls[2]!.id])
  const answered = await find(`target=openai&outcome=answered&agent_id=${other.id}`)
  expect(answered.calls.map(({ id }) => id)).toEqual([calls[0]!.id])
  expect((await find('target=anthropic')).calls).toEqual([])
  expect((await find('outcome=failed')).calls).toMatchObject([{ model: 'nobody-knows', code: 'price_unknown' }])
  expect((await find('from=2100-01-01')).calls).toEqual([])

  const first = await find('sort=cost&limit=3')
  const rest = await find(`sort=cost&limit=3&after=${first.next}`)
  const costs = [...first.calls, ...rest.calls].map(({ cost_usd }) => Number(cost_usd))
  expect(costs).toEqual(costs.toSorted((a, b) => b - a))
  expect(new Set([...first.calls, ...rest.calls].map(({ id }) => id)).size).toBe(4)

  const csv = await cage.get(`/api/calls?format=csv&agent_id=${lister.id}`, access_token)
  const [header, ...lines] = csv.text.trimEnd().split('\r\n')
  expect(header).toMatch(/,unit,agent_id,input_tokens,output_tokens$/)
  expect(lines.map((line) => line.split(',').slice(-4))).toEqual([
    ['lead 2', lister.id, expect.stringMatching(/^\d+$/), expect.stringMatching(/^\d+$/)],
    ['', lister.id, expect.stringMatching(/^\d+$/), expect.stringMatching(/^\d+$/)],
  ])
  for (const query of ['after=x', 'limit=5000', 'outcome=lost', 'min_cost_usd=-1', 'nobody=1']) {
    expect((await cage.get(`/api/calls?${query}`, access_token)).status, query).toBe(400)
  }
})

test('the page of a call shows its corrections and events', async () => {
  const cage = await openTestRuntime()
  const { access_token } = await cage.login()
  const agent = cage.addAgent()
  const callId = (await agent.chat()).headers['x-iron-cage-call-id']!
  await agent.chat()
  const correction = { cost_usd: '0.5', reason: 'the invoice' }
  await cage.post(`/api/agents/${agent.id}/calls/${callId}/correct`, correction, access_token)

  const { call, corrections, events } = (
    await cage.get(`/api/calls/${callId}`, access_token)
  ).json() as unknown as CallDetail
  expect(call).toMatchObject({ id: callId, agent_id: agent.id, state: 'charged', status: 200 })
  expect(corrections).toMatchObject([{ corrects: callId, reason: 'the invoice' }])
  expect(events.map(({ type }) => type)).toEqual(['call.completed', 'call.corrected'])
  expect(events[0]).toMatchObject({ data: { call_id: callId, latency_ms: expect.any(Number) } })
  expect((await cage.get('/api/calls/call-0', access_token)).json()).toMatchObject({ error: { code: 'not_found' } })
})
