/** Providers of which it is unknown whether they obey the limits of their calls, and such as do not. */
import { describe, expect, test } from 'vitest'
import { MAX_WAITING } from '../../src/budget/trust.ts'
import { addUsd, toUsd, usd } from '../../src/core/money.ts'
import { answer, hangs, sends } from '../support/provider.ts'
import { openTestRuntime, patientClock, type TestRuntime } from '../support/runtime.ts'

const reported = (completion_tokens: number) => ({ prompt_tokens: 10, completion_tokens })
const codeOf = (reply: { json(): unknown }) => (reply.json() as { error: { code: string } }).error.code

/** A context window makes the most a call can cost $1.31 at $10 a million. */
const mine = { input_per_mtok: 0, output_per_mtok: 10, context_window: 131_072 }
const open = (more: object = {}) =>
  openTestRuntime({ isUnknown: true, others: { deepseek: {} }, prices: { mine }, clock: patientClock, ...more })

const chat = (cage: TestRuntime, agent = cage.addAgent(), body: object = {}) =>
  agent.send(
    'deepseek',
    'POST',
    '/chat/completions',
    JSON.stringify({ model: 'mine', max_completion_tokens: 1, messages: [], ...body }),
  )

describe('a model that ignores the output limit', () => {
  test('a model that ignores the output limit overruns once when fifty call it at once, is refused from then on, and everything else goes on', async () => {
    const cage = await open()
    cage.provider.does(answer({ usage: reported(60_000) }))
    const agent = cage.addAgent({ limit: '1' })
    const replies = await Promise.all(Array.from({ length: 50 }, () => chat(cage, agent)))
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(new Set(replies.filter(({ status }) => status !== 200).map(codeOf))).toEqual(new Set(['model_refused']))
    expect(cage.provider.requests).toHaveLength(1)
    expect(agent.balance()).toMatchObject({ spent: '0.6', held: '0' })
    const event = await cage.event('model.refused')
    expect(event).toMatchObject({
      level: 'CRIT',
      agent_id: agent.id,
      data: { name: 'deepseek/mine', claimed_usd: '0.6' },
    })
    expect((await cage.event('alert.raised')).data).toMatchObject({ kind: 'model_refused' })
    // Another model, and the same at another provider.
    cage.provider.does(answer({ usage: reported(1) }))
    expect((await chat(cage, agent, { model: 'plain' })).status).toBe(200)
    expect((await agent.chat({ model: 'mine' })).status).toBe(200)
  })

  test('a model that ignores the output limit is remembered across a restart, until an admin trusts it', async () => {
    const first = await open()
    first.provider.does(answer({ usage: reported(60_000) }))
    const agent = first.addAgent()
    await chat(first, agent)
    expect(codeOf(await chat(first, agent))).toBe('model_refused')
    const { folder } = first
    const address = first.provider.url
    await first.close()
    const cage = await open({ folder, others: { deepseek: { base_url: `${address}/deepseek/v1` } } })
    const { access_token } = await cage.login()
    expect((await cage.get('/api/models', access_token)).json()).toMatchObject({
      models: [{ name: 'deepseek/mine', state: 'refused', overrun: { claimed_usd: '0.6' } }],
    })
    const trusted = await cage.post('/api/models/deepseek%2Fmine/trust', {}, access_token)
    expect(trusted.json()).toMatchObject({ name: 'deepseek/mine', state: 'trusted' })
    expect((await cage.post('/api/models/nobody%2Fmine/trust', {}, access_token)).status).toBe(404)
    expect((await chat(cage)).status).toBe(200)
  })

  test('a model that ignores the output limit is seen by its length as well, when it counts wrongly', async () => {
    const cage = await open()
    cage.provider.does(answer({ text: 'word '.repeat(20_000), usage: reported(1) }))
    const agent = cage.addAgent()
    await chat(cage, agent)
    expect(codeOf(await chat(cage, agent))).toBe('model_refused')
    expect(cage.rows()[0]).toMatchObject({ code: 'overrun', estimated: 1 })
  })
})

test('a model that overran one budget is refused for that one; others pay the most it can cost, and go on', async () => {
  const cage = await open()
  const [overrun, other] = [cage.addAgent({ limit: '5' }), cage.addAgent({ limit: '5' })]
  cage.provider.doesOnce(answer({ usage: reported(60_000) }))
  cage.provider.does(answer({ usage: reported(1) }))
  await chat(cage, overrun)
  expect(codeOf(await chat(cage, overrun))).toBe('model_refused')
  for (let call = 0; call < 3; call++) expect((await chat(cage, other)).status).toBe(200)
  const held = cage.rows().filter(({ agent_id }) => agent_id === other.id)
  expect(held.map(({ held_nanos }) => toUsd(held_nanos))).toEqual(['1.31072', '1.31072', '1.31072'])
})

describe('a model that is not known yet', () => {
  test('a model that is not known yet is called at once by all whose budgets pay the most that each call can cost', async () => {
    const cage = await open()
    cage.provider.does(async (response, received) => {
      await cage.provider.arrived(20)
      return answer({ usage: reported(1) })(response, received)
    })
    const agent = cage.addAgent({ limit: '50' })
    const replies = await Promise.all(Array.from({ length: 20 }, () => chat(cage, agent)))
    expect(replies.map(({ status }) => status)).toEqual(Array(20).fill(200))
    expect(new Set(cage.rows().map(({ held_nanos }) => toUsd(held_nanos)))).toEqual(new Set(['1.31072']))
  })

  test('a model that is not known yet is called one at a time by a budget that pays one of them, until an answer was within its limit', async () => {
    const cage = await open()
    let [now, most] = [0, 0]
    const held: string[] = []
    cage.provider.does(async (response, received) => {
      now += 1
      most = Math.max(most, now)
      held.push(toUsd(cage.rows().at(-1)!.held_nanos))
      await new Promise((resolve) => setTimeout(resolve, 20))
      now -= 1
      return (held.length < 3 ? sends(500, {}, 'no') : answer({ usage: reported(1) }))(response, received)
    })
    const agent = cage.addAgent({ limit: '2' })
    await Promise.all(Array.from({ length: 3 }, () => chat(cage, agent)))
    expect([most, held]).toEqual([1, ['1.31072', '1.31072', '1.31072']])
    // From now on each is held at its own limit.
    await chat(cage, agent)
    expect(toUsd(cage.rows().at(-1)!.held_nanos)).toBe('0.00001')
  })

  test('a model that is not known yet is called by a budget that is smaller than the most it can cost, which is held whole', async () => {
    const cage = await open()
    cage.provider.does(answer({ usage: reported(1) }))
    const agent = cage.addAgent({ limit: '0.01' })
    expect((await chat(cage, agent)).status).toBe(200)
    expect(cage.rows()[0]).toMatchObject({ held_nanos: 10_000_000, cost_nanos: 10_000 })
  })

  test('a model that is not known yet may read more than its request has, which is held from then on', async () => {
    const cage = await open({ prices: { mine: { ...mine, input_per_mtok: 10 } } })
    const agent = cage.addAgent({ limit: '50' })
    cage.provider.does(answer({ usage: { prompt_tokens: 3_000, completion_tokens: 1 } }))
    for (let call = 0; call < 3; call++) expect((await chat(cage, agent)).status).toBe(200)
    const [, second, third] = cage.rows()
    expect([second!.held_nanos, third!.held_nanos]).toEqual([30_010_000, 30_010_000])
    expect([second!.code, third!.code]).toEqual([null, null])
    cage.provider.does(answer({ usage: { prompt_tokens: 90_000, completion_tokens: 1 } }))
    await chat(cage, agent)
    expect(codeOf(await chat(cage, agent))).toBe('model_refused')
  })

  test('a model that is not known yet has a bounded queue of calls of one agent, and further ones are refused with a reason', async () => {
    const cage = await open()
    const { promise: gate, resolve: release } = Promise.withResolvers<void>()
    cage.provider.does(async (response, received) => {
      await gate
      return answer({ usage: reported(1) })(response, received)
    })
    const [many, other] = [cage.addAgent({ limit: '1' }), cage.addAgent({ limit: '1' })]
    const first = chat(cage, many)
    await cage.provider.arrived(1)
    const address = `${cage.provider.url}/v1`
    const leaving = new AbortController()
    const subject = { provider: 'deepseek', model: 'mine', address, isOfficial: false, unknownFields: [] }
    const waiting = Array.from({ length: MAX_WAITING / 2 }, () =>
      cage.runtime.trust
        .enter({ ...subject, agentId: many.id }, leaving.signal, () => undefined, true)
        .catch(() => 'left'),
    )
    const refused = await chat(cage, many)
    expect([refused.status, codeOf(refused)]).toEqual([503, 'too_many_streams'])
    expect(refused.headers['retry-after']).toBe('1')
    expect(refused.text).toContain('iron-cage models trust deepseek/mine')
    const last = chat(cage, other)
    leaving.abort()
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['left']))
    release()
    expect([(await first).status, (await last).status]).toEqual([200, 200])
  })

  test('a model that is not known yet lets the next one in when a client that waited has left', async () => {
    const cage = await open()
    const agent = cage.addAgent({ limit: '1' })
    const { promise: gate, resolve: release } = Promise.withResolvers<void>()
    cage.provider.does(async (response, received) => {
      await gate
      return answer({ usage: reported(1) })(response, received)
    })
    const first = chat(cage, agent)
    await cage.provider.arrived(1)
    const leaving = new AbortController()
    const url = `${cage.url}/gateway/${agent.token}/deepseek/chat/completions`
    const body = JSON.stringify({ model: 'mine', max_tokens: 1, messages: [] })
    const left = fetch(url, { method: 'POST', body, signal: leaving.signal }).catch(() => 'left')
    const last = chat(cage, agent)
    leaving.abort()
    expect(await left).toBe('left')
    release()
    expect([(await first).status, (await last).status]).toEqual([200, 200])
  })

  test('a known model counts as unknown again for an unknown field', async () => {
    const cage = await open()
    cage.provider.does(answer({ usage: reported(1) }))
    const agent = cage.addAgent({ limit: '50' })
    for (const body of [{}, {}, { turbo_search: true }, { turbo_search: true }, {}]) await chat(cage, agent, body)
    const holds = cage.rows().map(({ held_nanos }) => toUsd(held_nanos))
    expect(holds).toEqual(['1.31072', '0.00001', '1.31072', '0.00001', '0.00001'])
  })
})

test('a charge up to a tenth above its hold is posted, and later holds include it', async () => {
  const cage = await open()
  cage.provider.does(answer({ usage: reported(105) }))
  const agent = cage.addAgent({ limit: '50' })
  const body = { max_completion_tokens: 100 }
  for (let call = 0; call < 3; call++) expect((await chat(cage, agent, body)).status).toBe(200)
  expect(cage.rows().map(({ code }) => code)).toEqual(['overrun', null, null])
  expect(cage.rows().map(({ held_nanos }) => toUsd(held_nanos))).toEqual(['1.31072', '0.00105', '0.00105'])
  expect(agent.balance().spent).toBe(addUsd(usd('0.00105'), usd('0.0021')))
  cage.provider.does(answer({ usage: reported(116) }))
  await chat(cage, agent, body)
  expect(codeOf(await chat(cage, agent, body))).toBe('model_refused')
})

describe('a model that has obeyed so far', () => {
  test('a model that has obeyed so far is called by as many at once as it has answered within their limits, and one more', async () => {
    const cage = await open()
    const agent = cage.addAgent({ limit: '1' })
    cage.provider.does(answer({ usage: reported(1) }))
    for (let call = 0; call < 3; call++) await chat(cage, agent)
    const { promise: gate, resolve: release } = Promise.withResolvers<void>()
    cage.provider.does(async (response, received) => {
      if ((JSON.parse(received.body) as { model: string }).model === 'mine') await gate
      return answer({ usage: reported(1) })(response, received)
    })
    const calls = Array.from({ length: 20 }, () => chat(cage, agent))
    await cage.provider.arrived(7)
    // A call behind them has been answered, and only four of them have arrived.
    expect((await chat(cage, agent, { model: 'plain' })).status).toBe(200)
    expect(cage.provider.requests).toHaveLength(3 + 4 + 1)
    release()
    expect((await Promise.all(calls)).map(({ status }) => status)).toEqual(Array(20).fill(200))
  })

  test('an admin who trusts a model lets all its calls run at once, including the waiting ones', async () => {
    const cage = await open()
    cage.provider.does(async (response, received) => {
      await cage.provider.arrived(60)
      return answer({ usage: reported(1) })(response, received)
    })
    const calls = Array.from({ length: 60 }, () => chat(cage, cage.addAgent({ limit: '1' })))
    await cage.provider.arrived(1)
    const { access_token } = await cage.login()
    await cage.post('/api/models/deepseek%2Fmine/trust', {}, access_token)
    expect((await Promise.all(calls)).map(({ status }) => status)).toEqual(Array(60).fill(200))
  })

  test('a model that has obeyed so far overruns only once: its other call is ended, and waiting ones are refused', async () => {
    const cage = await open()
    const agent = cage.addAgent({ limit: '1' })
    cage.provider.does(answer({ usage: reported(1) }))
    await chat(cage, agent)
    cage.provider.doesOnce(async (response, received) => {
      await cage.provider.arrived(3)
      return answer({ usage: reported(60_000) })(response, received)
    })
    cage.provider.doesOnce(hangs)
    const replies = await Promise.all(Array.from({ length: 50 }, () => chat(cage, agent)))
    expect(cage.provider.requests).toHaveLength(3)
    expect(await cage.provider.requests[2]!.hungUp).toBe(true)
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(replies.filter(({ status }) => status === 403).map(codeOf)).toEqual(Array(49).fill('model_refused'))
    expect(cage.rows().filter(({ code }) => code === 'overrun')).toHaveLength(1)
    expect(agent.balance()).toMatchObject({ held: '0' })
    expect(cage.of('model.refused')).toHaveLength(1)
  })

  test('a restart keeps the trust in a model for up to half of its longest answer', async () => {
    const first = await open()
    first.provider.does(answer({ usage: reported(1) }))
    for (let call = 0; call < 5; call++) await chat(first)
    const { folder } = first
    const address = first.provider.url
    await first.close()
    const cage = await open({ folder, others: { deepseek: { base_url: `${address}/deepseek/v1` } } })
    const entry = cage.database.prepare("SELECT value FROM meta WHERE key = 'trust.deepseek/mine'").get() as {
      value: string
    }
    expect(JSON.parse(entry.value)).toMatchObject({ state: 'trusted', obeyed: 4 })
  })
})

describe('usage that a reply reports beside its tokens', () => {
  const list = { others: { openrouter: {} }, isUnknown: false }
  const call = (cage: TestRuntime, body: object = {}) =>
    cage
      .addAgent()
      .send(
        'openrouter',
        'POST',
        '/chat/completions',
        JSON.stringify({ model: 'openai/gpt-4o-mini', max_tokens: 1_000, messages: [], ...body }),
      )

  test.each([
    [{ cost: 0.0005 }, 500_000],
    [{ cost: 0.000001 }, 7_500],
    [{ cost: { total_cost: 0.0003 } }, 300_000],
    [{ cost: 0.00001, is_byok: true, cost_details: { upstream_inference_cost: 0.0002 } }, 210_000],
    [{ cost_in_usd_ticks: 4_000_000 }, 400_000],
  ])('an amount (%j) counts where it is the larger one', async (more, cost_nanos) => {
    const cage = await open(list)
    cage.provider.does(answer({ model: 'openai/gpt-4o-mini', usage: { ...reported(10), ...more } }))
    await call(cage)
    expect(cage.rows()[0]).toMatchObject({ cost_nanos, estimated: cost_nanos === 7_500 ? 0 : 1, code: null })
  })

  test('another model that answers has its own price, whole and streamed', async () => {
    const cage = await open(list)
    cage.provider.does(answer({ model: 'openai/gpt-4o', usage: reported(10) }))
    await call(cage)
    await call(cage, { stream: true })
    expect(cage.rows().map(({ cost_nanos, estimated }) => [cost_nanos, estimated])).toEqual([
      [125_000, 1],
      [125_000, 1],
    ])
  })

  test('a dated spelling of the same model is the same model', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(answer({ model: 'gpt-4o-mini-2024-07-18', usage: reported(10) }))
    await cage.addAgent().chat({ model: 'gpt-4o-mini', max_tokens: 100 })
    expect(cage.rows()[0]).toMatchObject({ cost_nanos: 7_500, estimated: 0 })
  })
})

test.each([
  [{ models: ['openai/gpt-5-pro'] }, 'models'],
  [{ route: 'fallback' }, 'route'],
  [{ plugins: [{ id: 'web' }] }, 'plugins'],
  [{ search_parameters: { mode: 'auto' } }, 'search_parameters'],
  [{ modalities: ['text', 'image'] }, 'modalities'],
  [{ tools: [{ type: 'openrouter:web_search' }] }, 'tools'],
])('a model without a price (%j) is refused by its name, and nothing is sent', async (more, field) => {
  const cage = await open()
  const reply = await chat(cage, undefined, more)
  expect([reply.status, reply.json()]).toEqual([
    403,
    { error: expect.objectContaining({ code: 'price_unknown', facts: expect.objectContaining({ field }) }) },
  ])
  expect(cage.provider.requests).toEqual([])
})

test.each(['video_url', 'audio_url', 'document_url', 'input_video', 'file_url', 'media'])(
  "a part of an unknown type (%s) is held at the model's window",
  async (type) => {
    const cage = await open({ isUnknown: false, prices: { mine: { ...mine, input_per_mtok: 1 } } })
    cage.provider.does(answer({ usage: reported(1) }))
    const content = [{ type, [type]: { url: 'https://example.com/film.mp4' } }]
    await chat(cage, undefined, { messages: [{ role: 'user', content }] })
    // A window of 131,072 at $1 a million, and one token.
    expect(toUsd(cage.rows()[0]!.held_nanos)).toBe('0.131082')
  },
)

test('the input of a tool counts as text, even if it has a field named type', async () => {
  const cage = await open({ isUnknown: false, prices: { mine: { ...mine, input_per_mtok: 1 } } })
  cage.provider.does(answer({ usage: reported(1) }))
  const call = { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'b', input: [{ type: 'weather' }] }] }
  await chat(cage, undefined, { messages: [call] })
  expect(cage.rows()[0]!.held_nanos).toBeLessThan(1_000_000)
})

test('a price of one provider is not that of another', async () => {
  const free = { input_per_mtok: 0, output_per_mtok: 0 }
  const cage = await openTestRuntime({ others: { local: {}, openrouter: {} }, prices: { 'local/free-model': free } })
  const agent = cage.addAgent()
  const body = JSON.stringify({ model: 'free-model', max_tokens: 1, messages: [] })
  expect((await agent.send('local', 'POST', '/chat/completions', body)).status).toBe(200)
  const refused = await agent.send('openrouter', 'POST', '/chat/completions', body)
  expect([refused.status, codeOf(refused)]).toEqual([403, 'price_unknown'])
})
