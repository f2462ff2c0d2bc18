/** The hold and the charge of a call: prices of the list, through the whole road. */
import { describe, expect, test } from 'vitest'
import { toUsd } from '../../src/core/money.ts'
import { answer, sends } from '../support/provider.ts'
import { openTestRuntime, type TestRuntime } from '../support/runtime.ts'

const replies = (reply: object) => sends(200, { 'content-type': 'application/json' }, reply)

/** The ledger's only row, money as dollars. */
function onlyRow(cage: TestRuntime) {
  const rows = cage.rows()
  expect(rows).toHaveLength(1)
  const { cost_nanos, held_nanos, estimated, code, ...row } = rows[0]!
  const price = JSON.parse((row as unknown as { price: string }).price ?? 'null') as Record<string, unknown> | null
  return { cost: toUsd(cost_nanos), held: toUsd(held_nanos), isEstimate: estimated === 1, code, price }
}

const sent = (cage: TestRuntime) => JSON.parse(cage.provider.requests.at(-1)!.body) as Record<string, unknown>

describe('a call without an output limit', () => {
  const chat = { messages: [{ role: 'user', content: 'Hi' }] }
  test.each([
    {
      path: '/responses',
      body: { model: 'plain', input: 'Hi' },
      field: 'max_output_tokens',
      limit: 4_096,
      budget: '10',
    },
    {
      path: '/chat/completions',
      body: { model: 'gpt-4o', ...chat },
      field: 'max_completion_tokens',
      limit: 9_984,
      budget: '1',
    },
    {
      path: '/chat/completions',
      body: { model: 'gpt-3.5-turbo', ...chat },
      field: 'max_completion_tokens',
      limit: 2_048,
      budget: '0.01',
    },
    {
      path: '/responses',
      body: { model: 'gpt-5', input: 'Hi' },
      field: 'max_output_tokens',
      limit: 99_996,
      budget: '10',
    },
  ])(
    'a call without an output limit is limited where its longest answer costs more than a tenth of $budget: $path of $body.model',
    async (row) => {
      const { path, body, field, limit, budget } = row
      const cage = await openTestRuntime()
      const reply = await cage.addAgent({ limit: budget }).send('openai', 'POST', path, JSON.stringify(body))
      expect(reply.headers['x-iron-cage-clamped-max-tokens']).toBe(String(limit))
      expect(sent(cage)).toEqual({ ...body, [field]: limit })
      expect(cage.of('call.clamped')).toMatchObject([
        { level: 'DEBUG', data: { model: body.model, asked_tokens: null, max_tokens: limit } },
      ])
    },
  )

  test('a call without an output limit that is limited and answered up to the limit, reasoning included, is a warning', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '1' })
    const ask = () => agent.send('openai', 'POST', '/chat/completions', JSON.stringify({ model: 'o3-mini', ...chat }))
    await ask()
    cage.provider.does((response, received) => {
      const usage = { prompt_tokens: 1, completion_tokens: JSON.parse(received.body).max_completion_tokens }
      return answer({ usage })(response, received)
    })
    await ask()
    expect(cage.of('call.clamped').filter(({ level }) => level === 'WARN')).toMatchObject([
      {
        data: { max_tokens: sent(cage).max_completion_tokens, was_cut: true },
        message: expect.stringContaining('was cut'),
      },
    ])
  })

  test.each(['2', '1', '0.4'])(
    'a call without an output limit is never cut below a useful answer as $%s runs out: the last one is refused with its reason',
    async (limit) => {
      const cage = await openTestRuntime({ budget: { on_exhausted: 'refuse' } })
      const agent = cage.addAgent({ limit })
      const content = 'word '.repeat(41_000)
      const limits: (number | undefined)[] = []
      cage.provider.does((response, received) => {
        const { max_completion_tokens } = JSON.parse(received.body) as { max_completion_tokens?: number }
        limits.push(max_completion_tokens)
        const usage = { prompt_tokens: 41_008, completion_tokens: Math.min(1_800, max_completion_tokens ?? 1_800) }
        return answer({ usage })(response, received)
      })
      const body = JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content }] })
      const ask = () => agent.send('openai', 'POST', '/chat/completions', body)
      let reply = await ask()
      while (reply.status === 200) reply = await ask()
      expect([reply.status, reply.json().error]).toMatchObject([402, { code: 'budget_exceeded' }])
      expect(reply.text).toContain('with an answer of 256 tokens')
      expect(limits.length).toBeGreaterThan(2)
      expect(Math.min(...limits.map((tokens) => tokens ?? Number.POSITIVE_INFINITY))).toBeGreaterThanOrEqual(256)
      // The rest pays for no further useful answer: 41,008 tokens and 256, and the framing.
      const left = Number(limit) - Number(agent.balance().spent)
      expect(left).toBeGreaterThanOrEqual(0)
      expect(left).toBeLessThan((41_200 * 2.5 + 256 * 10) / 1e6)
    },
  )

  test.each(['gpt-3.5-turbo', 'gpt-4-turbo', 'gpt-4o-2024-05-13', 'gpt-4o', 'o1', 'o3-mini', 'gpt-5', 'gpt-4'])(
    'a call without an output limit is sent as it is to %s, and held for its longest answer',
    async (model) => {
      const cage = await openTestRuntime({ budget: { limit_usd: '1000' } })
      const body = { model, ...chat }
      const reply = await cage
        .addAgent({ limit: '1000' })
        .send('openai', 'POST', '/chat/completions', JSON.stringify(body))
      expect(reply.headers['x-iron-cage-clamped-max-tokens']).toBeUndefined()
      expect(sent(cage)).toEqual(body)
      expect(cage.of('call.clamped')).toEqual([])
    },
  )

  test('a call without an output limit is sent as it is when no limit is wanted, and refused when its longest answer cannot be paid', async () => {
    const cage = await openTestRuntime({ budget: { clamp_max_tokens: false, on_exhausted: 'refuse' } })
    const [rich, poor] = [cage.addAgent({ limit: '10' }), cage.addAgent({ limit: '1' })]
    const body = JSON.stringify({ model: 'gpt-5', ...chat })
    expect((await rich.send('openai', 'POST', '/chat/completions', body)).status).toBe(200)
    expect(sent(cage)).toEqual(JSON.parse(body))
    expect((await poor.send('openai', 'POST', '/chat/completions', body)).status).toBe(402)
    expect(cage.provider.requests).toHaveLength(1)
  })

  test('a call whose written limit the provider refuses is sent once more with the one it names, which is remembered', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const message = 'max_tokens: 4096 > 1024, which is the maximum allowed number of output tokens for plain'
    cage.provider.doesOnce(sends(400, { 'content-type': 'application/json' }, { error: { message } }))
    const body = { model: 'plain', max_tokens: undefined, messages: [] }
    expect((await agent.chat(body)).status).toBe(200)
    expect((await agent.chat(body)).status).toBe(200)
    expect(cage.provider.requests.map(({ body }) => JSON.parse(body).max_tokens)).toEqual([4_096, 1_024, 1_024])
    expect(cage.rows().map(({ state }) => state)).toEqual(['released', 'charged', 'charged'])
  })

  test('a call whose refusal names no limit gets that refusal', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(sends(400, { 'content-type': 'application/json' }, { error: { message: 'too large' } }))
    expect((await cage.addAgent().chat({ max_tokens: undefined })).status).toBe(400)
    expect(cage.provider.requests).toHaveLength(1)
  })

  test.each([
    [{ max_completion_tokens: 1 }, { max_completion_tokens: 1, max_tokens: 1 }],
    [{ max_tokens: 7 }, { max_completion_tokens: 7, max_tokens: 7 }],
    [
      { max_tokens: 7, max_completion_tokens: 9 },
      { max_tokens: 9, max_completion_tokens: 9 },
    ],
  ])("a call's own limit (%j) is written in every field that a server may read", async (given, written) => {
    const cage = await openTestRuntime({ others: { deepseek: {} } })
    const body = { model: 'plain', ...chat, ...given }
    const reply = await cage.addAgent().send('deepseek', 'POST', '/chat/completions', JSON.stringify(body))
    expect([reply.status, sent(cage)]).toEqual([200, { ...body, ...written }])
  })

  test.each([
    ['mistral', { loc: ['body', 'max_completion_tokens'], type: 'extra_forbidden' }, 'max_tokens'],
    ['azure', "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", 'max_completion_tokens'],
  ])(
    'a call without an output limit is sent once more to a server that refuses one of the fields, and then in the accepted form: %s',
    async (name, why, field) => {
      const cage = await openTestRuntime({ others: { [name]: {} } })
      const agent = cage.addAgent()
      cage.provider.doesOnce(sends(422, { 'content-type': 'application/json' }, { error: { message: why } }))
      const body = JSON.stringify({ model: 'plain', ...chat, max_tokens: 7 })
      for (let call = 0; call < 2; call++) {
        expect((await agent.send(name, 'POST', '/chat/completions', body)).status).toBe(200)
      }
      const written = cage.provider.requests.map(({ body }) =>
        Object.keys(JSON.parse(body)).filter((key) => /max_/.test(key)),
      )
      expect(written).toEqual([['max_tokens', 'max_completion_tokens'], [field], [field]])
      expect(cage.rows().map(({ state }) => state)).toEqual(['released', 'charged', 'charged'])
    },
  )

  test('a call of /completions without an output limit is sent the 16 that it is held for, and one of /embeddings none', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const completion = { model: 'gpt-3.5-turbo-instruct', prompt: 'Hi' }
    const embedding = { model: 'text-embedding-3-small', input: 'Hi' }
    for (const [path, body, limits] of [
      ['/completions', completion, { max_tokens: 16 }],
      ['/embeddings', embedding, {}],
    ] as const) {
      const reply = await agent.send('openai', 'POST', path, JSON.stringify(body))
      expect(reply.headers['x-iron-cage-clamped-max-tokens']).toBeUndefined()
      expect(sent(cage)).toEqual({ ...body, ...limits })
    }
  })

  test("a call without an output limit is limited in the provider's own tools", async () => {
    const cage = await openTestRuntime()
    const body = { model: 'gpt-5-mini', input: 'Hi', max_output_tokens: 100, tools: [{ type: 'web_search' }] }
    const reply = await cage.addAgent().send('openai', 'POST', '/responses', JSON.stringify(body))
    expect(reply.headers['x-iron-cage-clamped-tool-uses']).toBe('10')
    expect(sent(cage)).toEqual({ ...body, max_tool_calls: 10 })
  })
})

describe('the charge', () => {
  const usage = { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 }
  const body = { model: 'gpt-4o', max_tokens: 100, messages: [{ role: 'user', content: 'x'.repeat(400) }] }

  test('the charge is of the tier that the reply reports, not of the requested one', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(replies({ service_tier: 'default', usage }))
    await cage.addAgent().chat({ ...body, service_tier: 'priority' })
    const { cost, held, isEstimate } = onlyRow(cage)
    // 100 × $2.50 + 50 × $10 a million; held for the dearer tier.
    expect({ cost, isEstimate }).toEqual({ cost: '0.00075', isEstimate: false })
    const plain = await openTestRuntime()
    plain.provider.does(replies({ usage }))
    await plain.addAgent().chat({ ...body, service_tier: 'default' })
    expect(Number(held)).toBeGreaterThan(Number(onlyRow(plain).held) * 1.69)
  })

  test('a reply in a more expensive tier is charged at that tier, later calls are held at it, and none is refused', async () => {
    const cage = await openTestRuntime()
    const full = { prompt_tokens: 100, completion_tokens: 5_000, total_tokens: 5_100 }
    cage.provider.does(replies({ service_tier: 'priority', usage: full }))
    const agent = cage.addAgent()
    for (let call = 0; call < 3; call++) expect((await agent.chat({ ...body, max_tokens: 5_000 })).status).toBe(200)
    const [first, second, third] = cage.rows()
    // 1.7 × (100 × $2.50 + 5,000 × $10 a million)
    expect([first, second, third].map((row) => row!.cost_nanos)).toEqual(Array(3).fill(85_425_000))
    expect([first!.code, second!.code, third!.code]).toEqual(['overrun', null, null])
    expect(second!.held_nanos).toBeGreaterThanOrEqual(85_425_000)
    expect(cage.of('model.refused')).toEqual([])
  })

  test('the charge is recorded in the row with the tier, the rates, the list and the day', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(replies({ service_tier: 'flex', usage }))
    await cage.addAgent().chat({ ...body, service_tier: 'flex' })
    const { cost, price } = onlyRow(cage)
    expect(cost).toBe('0.000375')
    expect(price).toMatchObject({
      source: expect.stringMatching(/^genai-prices \d+\.\d+\.\d+$/),
      date: expect.stringMatching(/^\d{4}-\d\d-\d\d$/),
      input: 2_500_000,
      output: 10_000_000,
      terms: 'flex',
      factor: '1/2',
    })
  })

  test.each([
    {
      what: 'are in the total is that of the total',
      more: { smell_tokens: 1_000 },
      cost: '0.00075',
      isEstimate: false,
    },
    {
      what: 'the total exceeds the rest by is at the dearest rate',
      more: { total_tokens: 170, smell_tokens: 20 },
      cost: '0.00095',
      isEstimate: true,
    },
    {
      what: 'no total confirms is at the dearest rate',
      more: { total_tokens: null, smell_tokens: 20 },
      cost: '0.00095',
      isEstimate: true,
    },
  ])('the charge of unknown tokens that $what', async ({ more, cost, isEstimate }) => {
    const cage = await openTestRuntime()
    cage.provider.does(replies({ usage: { ...usage, ...more } }))
    await cage.addAgent().chat(body)
    expect(onlyRow(cage)).toMatchObject({ cost, isEstimate, code: null })
  })

  test.each([1_000, 90_000_000])(
    'a charge of %i unknown tokens without a total is at most the hold, and blocks no later call',
    async (smell_tokens) => {
      const cage = await openTestRuntime()
      cage.provider.does(replies({ usage: { ...usage, total_tokens: undefined, smell_tokens } }))
      const agent = cage.addAgent()
      await agent.chat(body)
      const { cost, held, isEstimate, code } = onlyRow(cage)
      expect({ cost, isEstimate, code }).toEqual({ cost: held, isEstimate: true, code: null })
      expect((await cage.event('call.completed')).data.estimated).toBe(true)
      expect((await agent.chat(body)).status).toBe(200)
    },
  )

  test('a reply with text but without any usage is not believed', async () => {
    const cage = await openTestRuntime()
    const nothing = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }
    cage.provider.does(answer({ text: 'Grass grows.', usage: nothing }))
    await cage.addAgent().chat({ model: 'plain' })
    const { cost, isEstimate } = onlyRow(cage)
    expect(Number(cost)).toBeGreaterThan(0)
    expect(isEstimate).toBe(true)
  })

  test('a reported total above the context window is charged as a full window', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(replies({ usage: { ...usage, total_tokens: 90_000_150 } }))
    await cage.addAgent().chat(body)
    const { price, ...row } = onlyRow(cage)
    // A window of 128,000 × $10 a million beside the $0.00075 of the rest.
    expect(row).toMatchObject({ cost: '1.28075', isEstimate: true, code: 'overrun' })
    expect(price?.claimed_usd).toBe('900.00075')
  })

  test('tokens with a known price are charged in full, even above the hold', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(replies({ usage: { ...usage, prompt_tokens: 100_000, total_tokens: 100_055 } }))
    await cage.addAgent().chat(body)
    expect(onlyRow(cage)).toMatchObject({ cost: '0.25055', isEstimate: true, code: 'overrun' })
  })

  test('a reply without usage is charged the full window if the request refers to stored content', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(replies({ output: [] }))
    const request = { model: 'gpt-5-mini', input: 'Hi', max_output_tokens: 16, previous_response_id: 'resp_1' }
    await cage.addAgent().send('openai', 'POST', '/responses', JSON.stringify(request))
    const { cost, isEstimate } = onlyRow(cage)
    // A window of 400,000 tokens at $0.25 a million, and the few tokens of the answer.
    expect(isEstimate).toBe(true)
    expect(Number(cost)).toBeGreaterThanOrEqual(0.1)
    expect(Number(cost)).toBeLessThan(0.1001)
  })

  test("a reply without usage is charged the most that the provider's tools may have cost", async () => {
    const cage = await openTestRuntime()
    cage.provider.does(replies({ output: [] }))
    const tools = [{ type: 'web_search' }]
    const request = { model: 'gpt-5-mini', input: 'Hi', max_output_tokens: 16, max_tool_calls: 2, tools }
    await cage.addAgent().send('openai', 'POST', '/responses', JSON.stringify(request))
    const { cost, isEstimate } = onlyRow(cage)
    // Three windows of 400,000 tokens at $0.25 a million, two searches for a cent, the few tokens of the answer.
    expect(isEstimate).toBe(true)
    expect(Number(cost)).toBeGreaterThanOrEqual(0.32)
    expect(Number(cost)).toBeLessThan(0.3201)
  })

  test('the charge of a model that always searches includes the search, which no reply reports', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(replies({ usage }))
    await cage.addAgent().chat({ ...body, model: 'gpt-4o-mini-search-preview', web_search_options: {} })
    // 100 × $0.15 + 50 × $0.60 a million, and $0.025.
    expect(onlyRow(cage)).toMatchObject({ cost: '0.025045', isEstimate: false })
  })
})

test.each([
  ['gpt-4o-2031-02-03', {}],
  ['ft:gpt-4.1-2025-04-14:acme::x', {}],
  ['gpt-4o', { messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: { data: 'UklGRg' } }] }] }],
  ['gpt-4o', { modalities: ['text', 'audio'] }],
])('a call of %s without a price (%j) is refused, and nothing is sent', async (model, more) => {
  const cage = await openTestRuntime()
  const reply = await cage.addAgent().chat({ model, ...more })
  expect([reply.status, reply.json()]).toEqual([403, { error: expect.objectContaining({ code: 'price_unknown' }) }])
  expect(cage.provider.requests).toEqual([])
  expect(cage.rows()).toEqual([])
})

test.each([
  ['/chat/completions', { model: 'gpt-4o', n: 1e15, messages: [{ role: 'user', content: 'Hi' }] }],
  ['/responses', { model: 'gpt-5-mini', input: 'Hi', max_tool_calls: 1e15, tools: [{ type: 'web_search' }] }],
])('more than a number can count is too much for any budget (%s)', async (path, body) => {
  const cage = await openTestRuntime()
  const reply = await cage.addAgent().send('openai', 'POST', path, JSON.stringify(body))
  expect([reply.status, reply.json()]).toEqual([402, { error: expect.objectContaining({ code: 'budget_exceeded' }) }])
  expect(cage.provider.requests).toEqual([])
})
