/** One call on the road: the sent request, its cost under honest and false usage, and its records. */
import { once } from 'node:events'
import Sqlite from 'better-sqlite3'
import { describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { Redactor } from '../../src/redaction/redactor.ts'
import { openParts } from '../../src/runtime.ts'
import {
  answer,
  chatFrames,
  type DialectName,
  FakeProvider,
  hangs,
  rawNumber,
  resets,
  sends,
  streams,
  whole,
} from '../support/provider.ts'
import { openTestRuntime, patientClock, type Reply, type TestRuntime, until } from '../support/runtime.ts'

const DIALECTS = ['openai', 'anthropic'] as const
const JSON_TYPE = { 'content-type': 'application/json' }

/** Our code in an error, in whichever shape. */
const codeOf = (reply: Reply) => (reply.json().error as { code: string }).code

/** The one row of the ledger, as far as money goes. */
function onlyRow(cage: TestRuntime) {
  const rows = cage.rows()
  expect(rows).toHaveLength(1)
  const { state, held_nanos, cost_nanos, estimated, status, code } = rows[0]!
  return { state, held: held_nanos, cost: cost_nanos, estimated: estimated === 1, status, code }
}

/** Usage in the dialect's own words. */
const usage = (dialect: DialectName, input: unknown, output: unknown) =>
  dialect === 'openai'
    ? { prompt_tokens: input, completion_tokens: output }
    : { input_tokens: input, output_tokens: output }

describe('a call', () => {
  test.each(DIALECTS)('a call in the dialect of %s costs the usage that its provider reports', async (dialect) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    cage.provider.does(answer({ usage: usage(dialect, 1_000, 3) }))
    const reply = await agent.call(dialect, { model: 'plain' })
    expect(reply.status).toBe(200)
    // 1,000 × $2.50 + 3 × $10 a million
    expect(reply.headers).toMatchObject({
      'x-iron-cage-cost-usd': '0.00253',
      'x-iron-cage-remaining-usd': '9.99747',
      'x-iron-cage-redactions': '0',
    })
    expect(reply.text).toBe(cage.provider.requests.length === 1 && whole(dialect, { usage: usage(dialect, 1_000, 3) }))
    expect(agent.balance()).toEqual({ limit: '10', spent: '0.00253', held: '0' })
    expect(onlyRow(cage)).toMatchObject({ state: 'charged', cost: 2_530_000, estimated: false, status: 200 })
    expect(reply.headers['x-iron-cage-call-id']).toBe(cage.rows()[0]?.id)
    expect(cage.of('call.completed').map(({ data }) => data)).toMatchObject([
      { provider: dialect, model: 'plain', input_tokens: 1_000, output_tokens: 3, cost_usd: '0.00253', status: 200 },
    ])
  })

  test('a call counts cached tokens within the input of OpenAI and beside the input of Anthropic', async () => {
    const cage = await openTestRuntime({
      prices: { cached: { input_per_mtok: 10, cached_input_per_mtok: 1, output_per_mtok: 0.001 } },
    })
    const agent = cage.addAgent()
    cage.provider.doesOnce(
      answer({
        usage: { prompt_tokens: 1_000, completion_tokens: 0, prompt_tokens_details: { cached_tokens: 900 } },
      }),
    )
    cage.provider.doesOnce(answer({ usage: { input_tokens: 100, output_tokens: 0, cache_read_input_tokens: 900 } }))
    await agent.chat({ model: 'cached' })
    await agent.message({ model: 'cached' })
    // 100 × $10 + 900 × $1 a million, in both.
    expect(cage.rows().map(({ cost_nanos }) => cost_nanos)).toEqual([1_900_000, 1_900_000])
  })

  test('a call has its row in the database before the provider receives it', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const seen: unknown[] = []
    cage.provider.does((response, received) => {
      seen.push(onlyRow(cage))
      return answer()(response, received)
    })
    await agent.chat({ max_tokens: 7 })
    expect(seen).toEqual([{ state: 'held', held: 7_000_000, cost: 0, estimated: false, status: null, code: null }])
  })

  test.each(['paused', 'ended'])('a call of an agent that is %s is refused, and nothing is sent', async (what) => {
    let past = 0
    const clock = { ...systemClock, now: () => systemClock.now() + past }
    const cage = await openTestRuntime({
      services: { weather: { base_url: 'http://127.0.0.1:9', cost_per_call_usd: '1' } },
      clock,
    })
    const agent = cage.addAgent()
    if (what === 'paused') {
      const data = { by: 'test' }
      cage.runtime.state.record({ type: 'agent.paused', level: 'INFO', agent_id: agent.id, message: 'paused', data })
      past = 2_000
    } else {
      const data = { run_id: agent.runId, exit_code: 0, signal: null, reason: 'done', restart_in_ms: null }
      const end = { type: 'agent.exited', level: 'OK', agent_id: agent.id, message: 'ended' } as const
      cage.runtime.state.record({ ...end, data: { ...data, state: 'completed' } })
    }
    const replies = [await agent.chat(), await agent.message(), await agent.service('weather', '/today')]
    const expected = what === 'paused' ? [503, 'agent_paused'] : [403, 'agent_not_running']
    expect(replies.map((reply) => [reply.status, codeOf(reply)])).toEqual([expected, expected, expected])
    expect(cage.provider.requests).toEqual([])
    expect(cage.rows()).toEqual([])
  })
})

describe('a model without a price', () => {
  test.each(['never-heard-of', 'ft:never-heard-of:acme', 'constructor', '__proto__', 'toString'])(
    '%s is refused and nothing is sent',
    async (model) => {
      const cage = await openTestRuntime()
      const agent = cage.addAgent()
      for (const dialect of DIALECTS) {
        const reply = await agent.call(dialect, { model })
        expect([reply.status, codeOf(reply)]).toEqual([403, 'price_unknown'])
        expect(reply.headers['x-should-retry']).toBe('false')
      }
      expect(cage.provider.requests).toEqual([])
      expect(cage.rows()).toEqual([])
    },
  )

  test.each([
    ['POST', '/images/generations'],
    ['POST', '/batches'],
    ['POST', '/audio/speech'],
    ['GET', '/files'],
    ['DELETE', '/models/x'],
  ])('a model without a price does not hide behind a route without a known cost: %s %s', async (method, path) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const reply = await agent.send('openai', method, path, method === 'GET' ? undefined : '{"model":"penny"}')
    expect([reply.status, codeOf(reply)]).toEqual([403, 'price_unknown'])
    expect(cage.provider.requests).toEqual([])
  })
})

describe('impossible usage', () => {
  const long = 'Leads are processed one after the other. '.repeat(200)

  test.each(
    DIALECTS.flatMap((dialect) => [
      { dialect, name: 'missing', reported: undefined },
      { dialect, name: 'null', reported: null },
      { dialect, name: 'text', reported: usage(dialect, '12', '12') },
      { dialect, name: 'half', reported: usage(dialect, 10, 1.5) },
      { dialect, name: 'below nothing', reported: usage(dialect, -3, -3) },
      { dialect, name: 'beyond a double', reported: usage(dialect, 10, rawNumber('1e309')) },
      { dialect, name: 'a list', reported: [1, 2] },
    ]),
  )('$name ($dialect) is estimated, flagged, never free and never above the hold', async ({ dialect, reported }) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    cage.provider.does(answer({ text: long, usage: reported }))
    const reply = await agent.call(dialect, { model: 'plain', max_tokens: 4_000 })
    expect(reply.status).toBe(200)
    const { held, cost, ...row } = onlyRow(cage)
    expect(row).toMatchObject({ state: 'charged', estimated: true })
    // 8,200 characters are about 1,600 tokens.
    expect(cost).toBeGreaterThan(1_000 * 10_000)
    expect(cost).toBeLessThanOrEqual(held)
    expect(cage.of('call.completed')[0]?.data).toMatchObject({ estimated: true })
    expect(agent.balance().held).toBe('0')
  })

  test.each(DIALECTS)('nothing for a long answer (%s) is not believed', async (dialect) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    cage.provider.does(answer({ text: long, usage: usage(dialect, 10, 0) }))
    await agent.call(dialect, { model: 'plain', max_tokens: 4_000 })
    await agent.call(dialect, { model: 'plain', max_tokens: 4_000, stream: true })
    for (const { cost_nanos, estimated } of cage.rows()) {
      expect(cost_nanos).toBeGreaterThan(1_000 * 10_000)
      expect(estimated).toBe(1)
    }
  })

  test.each(DIALECTS)(
    'usage that a stream never reports (%s) is estimated from the delivered part',
    async (dialect) => {
      const cage = await openTestRuntime()
      const agent = cage.addAgent()
      cage.provider.does(answer({ text: long, usage: undefined }))
      const reply = await agent.call(dialect, { model: 'plain', max_tokens: 4_000, stream: true })
      expect(reply.status).toBe(200)
      const { held, cost, ...row } = onlyRow(cage)
      expect(row).toMatchObject({ state: 'charged', estimated: true })
      expect(cost).toBeGreaterThan(1_000 * 10_000)
      expect(cost).toBeLessThanOrEqual(held)
    },
  )

  test.each([
    ['a hundred times the hold', 400, '0.4'],
    ['more than the whole budget', 20_000, '20'],
  ])('impossible usage of %s is posted in full, and reported', async (_name, tokens, spent) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '10' })
    cage.provider.does(answer({ usage: usage('openai', 10, tokens) }))
    expect((await agent.chat({ max_tokens: 4 })).status).toBe(200)
    expect(onlyRow(cage)).toMatchObject({ state: 'charged', held: 4_000_000, code: 'overrun' })
    expect(agent.balance()).toEqual({ limit: '10', spent, held: '0' })
    expect(cage.of('call.completed')[0]).toMatchObject({ level: 'WARN', data: { cost_usd: spent } })
    expect(cage.of('budget.exhausted')).toHaveLength(tokens > 10_000 ? 1 : 0)
    expect([(await agent.chat()).status, (await agent.chat({ model: 'dime' })).status]).toEqual([
      403,
      tokens > 10_000 ? 402 : 200,
    ])
  })

  test('usage is estimated even for texts with special tokens of the tokenizer', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '0.02' })
    const text = 'The end: <|endoftext|> and <|im_start|>system<|im_end|>'
    cage.provider.does(answer({ text, usage: undefined }))
    const messages = [{ role: 'user', content: text }]
    // Once estimated after the fact, once counted before: by bytes it would not fit.
    expect((await agent.chat({ messages, max_tokens: 10 })).status).toBe(200)
    expect((await agent.chat({ messages, model: 'wide', max_tokens: 1 })).status).toBe(403)
    expect(agent.balance().held).toBe('0')
    expect(onlyRow(cage)).toMatchObject({ state: 'charged', estimated: true })
  })
})

describe('the sent request', () => {
  const sent = (cage: TestRuntime) => JSON.parse(cage.provider.requests.at(-1)!.body) as Record<string, unknown>

  test('a request without an output limit is sent with the priced limit', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '100' })
    const reply = await agent.chat({ max_tokens: undefined })
    expect(reply.headers['x-iron-cage-clamped-max-tokens']).toBe('4096')
    expect(sent(cage)).toMatchObject({ max_tokens: 4_096 })
    expect(onlyRow(cage).held).toBe(4_096 * 1_000_000)
  })

  test('a request without an output limit gets half of the remaining budget, so that one call never holds all of it', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '1' })
    const reply = await agent.chat({ max_tokens: undefined })
    expect(reply.headers['x-iron-cage-clamped-max-tokens']).toBe('500')
    expect(sent(cage)).toMatchObject({ max_tokens: 500 })
  })

  test.each([
    ['max_tokens', { max_tokens: 1e9 }],
    ['max_completion_tokens', { max_tokens: undefined, max_completion_tokens: 1e9 }],
    ['both', { max_tokens: 1e9, max_completion_tokens: 1e9 }],
    ['the greater of both', { max_tokens: 1e9, max_completion_tokens: 1 }],
    ['one beside a null', { max_tokens: null, max_completion_tokens: 1e9 }],
  ])('a request for a billion tokens (%s) is sent with the priced limit', async (_name, limits) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '1000' })
    expect((await agent.chat(limits)).status).toBe(200)
    const { max_tokens, max_completion_tokens } = sent(cage)
    const wanted = Math.max(Number(max_tokens ?? 0), Number(max_completion_tokens ?? 0))
    expect(wanted).toBe(131_072)
    expect(onlyRow(cage).held).toBe(wanted * 1_000_000)
  })

  test.each([
    { model: 'gpt-4', limit: 4_096 },
    { model: 'gpt-4o', limit: 16_384 },
  ])("a request for a billion tokens of $model is sent with the model's longest answer", async ({ model, limit }) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '1000' })
    await agent.chat({ model, max_tokens: 1e9 })
    expect(sent(cage).max_tokens).toBe(limit)
  })

  test('a request for fifty answers is held for all of them', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '1' })
    await agent.chat({ n: 50, max_tokens: 4 })
    expect(onlyRow(cage).held).toBe(50 * 4 * 1_000_000)
    const refused = await agent.chat({ n: 500, max_tokens: 4 })
    expect([refused.status, codeOf(refused)]).toEqual([402, 'budget_exceeded'])
    expect(cage.provider.requests).toHaveLength(1)
  })

  test.each([
    { prompt: 'one', answers: 1 },
    { prompt: ['one', 'two', 'three'], answers: 3 },
    { prompt: [1, 2, 3], answers: 1 },
    { prompt: [[1, 2], [3], [4], [5]], answers: 4 },
    { prompt: [], answers: 1 },
    { prompt: ['one', 'two'], n: 3, answers: 6 },
    { prompt: 'one', best_of: 20, answers: 20 },
  ])('the hold covers every answer of a completion: $answers for $prompt', async ({ answers, ...body }) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const text = JSON.stringify({ model: 'penny', max_tokens: 4, ...body })
    await agent.send('openai', 'POST', '/v1/completions', text)
    expect(onlyRow(cage).held).toBe(answers * 4_000_000)
  })

  test.each([
    { max_tokens: '100' },
    { max_tokens: 1.5 },
    { max_tokens: 0 },
    { max_tokens: -1 },
    { max_tokens: true },
    { max_completion_tokens: '4' },
    { n: '3' },
    { n: 0 },
    { n: [2] },
    { model: 7 },
    { model: '' },
    { model: undefined },
  ])('no request is sent with a malformed number: %j', async (body) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const reply = await agent.chat(body)
    expect([reply.status, codeOf(reply)]).toEqual([400, 'bad_request'])
    expect(cage.provider.requests).toEqual([])
    expect(cage.rows()).toEqual([])
  })

  test('a request with duplicate keys is sent with the values that were priced', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    await agent.chat('{"model":"penny","max_tokens":100000,"max_tokens":3,"model":"penny","messages":[],"n":9,"n":1}')
    expect(cage.provider.requests[0]?.body).toBe(
      '{"model":"penny","max_tokens":3,"messages":[],"n":1,"max_completion_tokens":3}',
    )
    expect(onlyRow(cage).held).toBe(3_000_000)
  })

  test.each([
    ['a name ends with a backslash', '{"model":"penny","max_tokens":100000,"max_tokens":3,"messages":[],"x\\\\":1}'],
    ['one of them is escaped', '{"model":"penny","max_\\u0074okens":100000,"max_tokens":3,"messages":[]}'],
    ['it is deep inside', '{"model":"penny","max_tokens":3,"messages":[],"x":[{"a":1,"a":{"b":2,"b":3}}]}'],
  ])('a request is serialized again when a name stands twice and %s', async (_when, body) => {
    const cage = await openTestRuntime()
    await cage.addAgent().chat(body)
    expect(cage.provider.requests[0]?.body).toBe(JSON.stringify({ ...JSON.parse(body), max_completion_tokens: 3 }))
    expect(onlyRow(cage).held).toBe(3_000_000)
  })

  test.each([
    ['nothing is added', '"max_tokens": 3, "max_completion_tokens": 3', ''],
    ['a limit is added', '"max_tokens": 3', ',"max_completion_tokens":3'],
    [
      'its options are complete',
      '"n":1,"max_tokens":3,"max_completion_tokens":3,"stream_options":{"include_usage":true}',
      '',
    ],
  ])('a request leaves as the bytes that came when %s', async (_when, limits, added) => {
    const cage = await openTestRuntime()
    const start = `{ "model":"penny", ${limits},\n "seed": 1e2, "messages": [{"content":"\\u0061 \\"b\\": \ud83d\ude00"}] `
    await cage.addAgent().chat(`${start}}\n`)
    const body = cage.provider.requests[0]?.body
    expect(body).toBe(added === '' ? `${start}}\n` : `${start}${added}}`)
  })

  test('the sent request is serialized again when it is not UTF-8', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const body = Buffer.from('{ "model":"penny","max_tokens":3,"messages":[{"content":"\xe9"}]}', 'latin1')
    await agent.send('openai', 'POST', '/v1/chat/completions', body)
    expect(cage.provider.requests[0]?.body).toBe(
      '{"model":"penny","max_tokens":3,"messages":[{"content":"\ufffd"}],"max_completion_tokens":3}',
    )
  })

  test('the sent request keeps every field it does not know, and every digit', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const body = '{"model":"penny","max_tokens":3,"messages":[],"seed":12345678901234567890,"x":{"y":[1.50,null,"é"]}}'
    await agent.chat(body)
    expect(cage.provider.requests[0]?.body).toBe(body.replace(/}$/, ',"max_completion_tokens":3}'))
  })

  test.each(['', '[]', 'null', '"text"', '{"model":', '{"model":"penny"}}', 'nope'])(
    'no request is sent when the body is no JSON object: %s',
    async (body) => {
      const cage = await openTestRuntime()
      const reply = await cage.addAgent().chat(body)
      expect([reply.status, codeOf(reply)]).toEqual([400, 'bad_request'])
      expect(cage.provider.requests).toEqual([])
    },
  )

  test('the sent request asks for usage in a stream, within the options the client gave', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    await agent.chat({ stream: true, stream_options: { include_obfuscation: false } })
    expect(sent(cage).stream_options).toEqual({ include_obfuscation: false, include_usage: true })
  })
})

describe('a provider that refuses', () => {
  test.each([400, 401, 403, 404, 422, 429, 500, 503, 529])(
    'a provider that refuses with %i costs nothing and is passed on',
    async (status) => {
      const cage = await openTestRuntime({ provider: { rate_limit_wait_s: 0 } })
      const agent = cage.addAgent()
      const body = { error: { message: 'not today', type: 'x' } }
      cage.provider.does(sends(status, { ...JSON_TYPE, 'x-request-id': 'req_7', 'retry-after': '3' }, body))
      const reply = await agent.chat()
      expect([reply.status, reply.json()]).toEqual([status, body])
      expect(reply.headers).toMatchObject({ 'x-request-id': 'req_7', 'retry-after': '3' })
      expect(onlyRow(cage)).toMatchObject({ state: 'released', cost: 0, status, code: 'provider_refused' })
      expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
      expect(cage.of('call.failed')).toHaveLength(1)
    },
  )

  test.each([
    [429, 3],
    [500, 3],
    [503, 3],
    [400, 1],
    [401, 1],
  ])(
    'a provider that refuses with %i is asked %i times in all when two retries are allowed, on one hold',
    async (status, attempts) => {
      const cage = await openTestRuntime({ provider: { retries: 2 } })
      const agent = cage.addAgent()
      cage.provider.does(sends(status, JSON_TYPE, { error: { message: 'no' } }))
      expect((await agent.chat()).status).toBe(status)
      expect(cage.provider.requests).toHaveLength(attempts)
      expect(onlyRow(cage)).toMatchObject({ state: 'released', cost: 0 })
    },
  )

  test('a provider that refuses once and then answers is charged once', async () => {
    const cage = await openTestRuntime({ provider: { retries: 2 } })
    const agent = cage.addAgent()
    cage.provider.doesOnce(sends(500, JSON_TYPE, { error: { message: 'no' } }))
    expect((await agent.chat()).status).toBe(200)
    expect(cage.provider.requests).toHaveLength(2)
    expect(onlyRow(cage)).toMatchObject({ state: 'charged', cost: 5_000_000 })
  })

  test('a provider that refuses with a body that breaks has refused all the same', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    cage.provider.does((response) => {
      response.writeHead(500, { 'content-length': '1000' })
      response.write('{"error":', () => setTimeout(() => response.socket?.resetAndDestroy(), 20))
    })
    expect((await agent.chat()).status).toBe(500)
    expect(onlyRow(cage)).toMatchObject({ state: 'released', cost: 0 })
  })

  test.each([
    { what: 'broke', fails: resets, status: 502, code: 'provider_unreachable' },
    { what: 'stayed silent', fails: hangs, status: 504, code: 'provider_timeout' },
  ])(
    'a provider is asked again after a connection that $what, and each attempt is held and paid for itself',
    async (row) => {
      const cage = await openTestRuntime({ provider: { retries: 2, first_byte_timeout_s: 1 } })
      const agent = cage.addAgent()
      cage.provider.does(row.fails)
      const reply = await agent.chat({ model: 'plain' })
      expect([reply.status, codeOf(reply)]).toEqual([row.status, row.code])
      expect(cage.provider.requests).toHaveLength(3)
      expect(cage.rows()).toHaveLength(3)
      for (const { cost_nanos: cost, held_nanos: held, ...charged } of cage.rows()) {
        expect(charged).toMatchObject({ state: 'charged', estimated: 1, code: null })
        expect(cost).toBeGreaterThan(0)
        expect(cost).toBeLessThanOrEqual(held)
      }
      cage.provider.doesOnce(row.fails)
      cage.provider.does(answer())
      expect((await agent.chat({ model: 'plain' })).status).toBe(200)
      expect(cage.rows()).toHaveLength(5)
    },
  )

  test('a provider that refuses with a rate limit gets no calls for that long, and its circuits stay closed', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    for (let i = 0; i < 12; i++) {
      cage.provider.doesOnce(async (response) => {
        // Who comes later waits with them.
        await cage.provider.arrived(20)
        return sends(429, { ...JSON_TYPE, 'retry-after-ms': '300' }, {})(response)
      })
    }
    const replies = await Promise.all(Array.from({ length: 20 }, () => agent.chat()))
    expect(replies.map(({ status }) => status)).toEqual(Array(20).fill(200))
    expect(cage.provider.requests).toHaveLength(32)
    expect(replies.filter(({ headers }) => Number(headers['x-iron-cage-waited-ms']) >= 300)).toHaveLength(12)
    expect(cage.of('call.completed').filter(({ data }) => data.waited_ms)).toHaveLength(12)
    expect(cage.of('circuit.opened')).toEqual([])
  })

  test('a lasting rate limit of a provider is passed on, with its own words', async () => {
    const cage = await openTestRuntime({ provider: { rate_limit_wait_s: 0.5 } })
    const body = { error: { message: 'Rate limit reached for penny' } }
    cage.provider.does(sends(429, { ...JSON_TYPE, 'retry-after-ms': '200' }, body))
    const agent = cage.addAgent()
    for (let i = 0; i < 6; i++) {
      const reply = await agent.chat()
      expect([reply.status, reply.json()]).toEqual([429, body])
    }
    expect(cage.of('circuit.opened')).toEqual([])
    expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
  })

  test('a provider that refuses with an absurd Retry-After is retried as if it had none, and the client does not receive it', async () => {
    const cage = await openTestRuntime({ provider: { retries: 1 } })
    cage.provider.does(sends(429, { ...JSON_TYPE, 'retry-after': '1000000000' }, {}))
    const reply = await cage.addAgent().chat()
    expect([reply.status, reply.headers['retry-after']]).toEqual([429, '3600'])
    expect(cage.provider.requests).toHaveLength(2)
  })

  test('a provider that cannot be reached is asked again, and costs nothing', async () => {
    const cage = await openTestRuntime({ provider: { retries: 1, base_url: 'http://127.0.0.1:1' } })
    const agent = cage.addAgent()
    for (const dialect of DIALECTS) {
      const reply = await agent.call(dialect)
      expect([reply.status, codeOf(reply)]).toEqual([502, 'provider_unreachable'])
    }
    expect(cage.rows().map(({ state, cost_nanos }) => [state, cost_nanos])).toEqual([
      ['released', 0],
      ['released', 0],
    ])
    expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
  })

  test('a call to an unknown host name costs nothing', async () => {
    // Without a network it takes a while until that is known.
    const provider = { base_url: 'http://no-such-host.invalid', connect_timeout_s: 200 }
    const cage = await openTestRuntime({ provider })
    const reply = await cage.addAgent().chat()
    expect([reply.status, codeOf(reply)]).toEqual([502, 'provider_unreachable'])
    expect(onlyRow(cage)).toMatchObject({ state: 'released', cost: 0 })
  })

  test('a provider that cannot be connected to in time costs nothing', async () => {
    // A reserved address (RFC 5737): silence, or a refusal by the network.
    const cage = await openTestRuntime({ provider: { base_url: 'http://192.0.2.1', connect_timeout_s: 0.1 } })
    const reply = await cage.addAgent().chat()
    expect(['provider_timeout', 'provider_unreachable']).toContain(codeOf(reply))
    expect(onlyRow(cage)).toMatchObject({ state: 'released', cost: 0 })
  })

  test.each(['0', '-5', '9999999999', '1e400', 'soon', 'Wed, 21 Oct 2015 07:28:00 GMT', '٣', ''])(
    'a provider that refuses with Retry-After "%s" stops neither the retries nor the clock',
    async (retryAfter) => {
      const cage = await openTestRuntime({ provider: { retries: 1 } })
      const agent = cage.addAgent()
      cage.provider.doesOnce((response) => {
        response.writeHead(429, { ...JSON_TYPE, 'retry-after': Buffer.from(retryAfter).toString('latin1') })
        response.end('{}')
      })
      expect((await agent.chat()).status).toBe(200)
    },
  )

  test('a provider that refuses again and again opens its circuit, and an open circuit costs nothing', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    cage.provider.does(sends(500, { ...JSON_TYPE, 'retry-after': '9999999999' }, {}))
    for (let call = 0; call < 5; call++) expect((await agent.chat()).status).toBe(500)
    const refused = await agent.chat()
    expect([refused.status, codeOf(refused)]).toEqual([503, 'circuit_open'])
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(3_600)
    expect(cage.provider.requests).toHaveLength(5)
    expect(cage.rows().map(({ state }) => state)).toEqual(Array(6).fill('released'))
    expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
  })
})

describe('an invalid reply', () => {
  test.each([
    ['HTML', { 'content-type': 'text/html' }, '<html><body>Log in to the hotel</body></html>'],
    ['half a JSON', JSON_TYPE, '{"id":"chatcmpl-1","choices":['],
    ['a list', JSON_TYPE, '[]'],
    ['nothing', JSON_TYPE, ''],
  ])('a reply that is %s is a 502 in the dialect, and counts for the circuit', async (_name, headers, body) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    cage.provider.does(sends(200, headers, body))
    for (let call = 0; call < 5; call++) {
      const reply = await agent.call(call % 2 ? 'anthropic' : 'openai')
      expect([reply.status, codeOf(reply)]).toEqual([502, 'provider_reply_invalid'])
      expect(reply.json().type).toBe(call % 2 ? 'error' : undefined)
    }
    for (let call = 0; call < 4; call++) await agent.chat()
    expect(cage.runtime.state.read().circuits.openai?.state).toBe('open')
    expect(cage.runtime.state.read().circuits.anthropic?.state ?? 'closed').toBe('closed')
    expect(agent.balance().held).toBe('0')
  })

  test('a redirect is not followed, not passed on, and costs nothing', async () => {
    const elsewhere = await FakeProvider.open()
    const cage = await openTestRuntime({ provider: { retries: 2 } })
    const agent = cage.addAgent()
    for (const status of [301, 302, 303, 307, 308]) {
      cage.provider.does(sends(status, { ...JSON_TYPE, location: `${elsewhere.url}/latest/meta-data` }, { ok: true }))
      const reply = await agent.message()
      expect([reply.status, codeOf(reply)]).toEqual([502, 'provider_reply_invalid'])
      expect(reply.headers.location).toBeUndefined()
      cage.runtime.circuits.reset('anthropic', 'test')
    }
    expect(elsewhere.requests).toEqual([])
    expect(cage.provider.requests).toHaveLength(5)
    expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
    await elsewhere.close()
  })

  test('a reply that breaks in the middle is an error, and its possible cost is charged', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    cage.provider.does((response) => {
      response.writeHead(200, { ...JSON_TYPE, 'content-length': '1000' })
      response.write('{"id":', () => setTimeout(() => response.socket?.resetAndDestroy(), 20))
    })
    const reply = await agent.chat({ model: 'plain' })
    expect([reply.status, codeOf(reply)]).toEqual([502, 'provider_unreachable'])
    expect(onlyRow(cage)).toMatchObject({ state: 'charged', estimated: true })
    expect(onlyRow(cage).cost).toBeGreaterThan(0)
  })

  test.each(DIALECTS)('a reply that does not come in time (%s) is a 504', async (dialect) => {
    const cage = await openTestRuntime({ provider: { first_byte_timeout_s: 1 } })
    const agent = cage.addAgent()
    cage.provider.does(hangs)
    const reply = await agent.call(dialect, { model: 'plain' })
    expect([reply.status, codeOf(reply)]).toEqual([504, 'provider_timeout'])
    expect(await cage.provider.requests[0]?.hungUp).toBe(true)
    expect(onlyRow(cage)).toMatchObject({ state: 'charged', estimated: true })
  })

  test('a reply that falls silent in the middle is a 504', async () => {
    const cage = await openTestRuntime({ provider: { idle_timeout_s: 0.2 } })
    const agent = cage.addAgent()
    cage.provider.does((response) => {
      response.writeHead(200, { ...JSON_TYPE, 'content-length': '1000' })
      response.write('{"id":')
    })
    const reply = await agent.chat()
    expect([reply.status, codeOf(reply)]).toEqual([504, 'provider_timeout'])
  })
})

describe('a client that leaves', () => {
  test('a client that leaves before the answer ends the request to the provider, and pays the most it can bill', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    cage.provider.does(hangs)
    const leaving = new AbortController()
    const call = agent.open({ model: 'plain', stream: false }, leaving.signal)
    await cage.provider.arrived(1)
    leaving.abort()
    await expect(call).rejects.toThrow()
    expect(await cage.provider.requests[0]?.hungUp).toBe(true)
    await cage.event('call.failed')
    const { cost, held, ...row } = onlyRow(cage)
    expect(row).toMatchObject({ state: 'charged', estimated: true, status: 499 })
    expect(cost).toBe(held)
    expect(JSON.parse(cage.rows()[0]!.price)).toMatchObject({ charged: 'the most an abandoned call can cost' })
    expect(agent.balance().held).toBe('0')
  })

  test.each([
    { model: 'gpt-4o', pays: 'for what was delivered', body: {} },
    { model: 'gpt-4o', pays: 'the most it can bill, as it asked for thinking', body: { reasoning_effort: 'high' } },
    { model: 'o3', pays: 'the most it can bill, as it may reason unseen', body: {} },
  ])('a client that leaves after the first word of a stream of $model pays $pays', async ({ model, body, pays }) => {
    const price = { input_per_mtok: 1, output_per_mtok: 10 }
    const cage = await openTestRuntime({ prices: { 'gpt-4o': price, o3: price } })
    const agent = cage.addAgent()
    cage.provider.does(
      streams(
        chatFrames({ text: ['One ', 'two '] })
          .split('data: [DONE]')[0]!
          .slice(0, 400),
        'hangs',
      ),
    )
    const leaving = new AbortController()
    const reply = await agent.open({ model, max_tokens: 4_000, ...body }, leaving.signal)
    reply.body.on('error', () => undefined)
    await once(reply.body, 'data')
    leaving.abort()
    await cage.event('call.failed')
    const { cost, held, estimated } = onlyRow(cage)
    expect(estimated).toBe(true)
    if (pays === 'for what was delivered') expect(cost).toBeLessThan(held / 100)
    else expect(cost).toBe(held)
  })

  test('a client that leaves after 2 KB of a stream ends it at the provider, and pays for it', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const frames = chatFrames({ text: Array(500).fill('Leads are processed one by one. ') })
    cage.provider.does(streams(frames.slice(0, 16_000), 'hangs'))
    const leaving = new AbortController()
    const { body } = await agent.open({ model: 'plain', max_tokens: 4_000 }, leaving.signal)
    let read = 0
    await expect(
      (async () => {
        for await (const chunk of body) {
          read += (chunk as Buffer).length
          if (read >= 2_048) leaving.abort()
        }
      })(),
    ).rejects.toThrow()
    expect(await cage.provider.requests[0]?.hungUp).toBe(true)
    const failed = await cage.event('call.failed')
    expect(failed.data).toMatchObject({ code: 'client_gone', estimated: true })
    const { cost, held } = onlyRow(cage)
    // More than the input alone: the delivered part is in it.
    expect(cost).toBeGreaterThan(50 * 10_000)
    expect(cost).toBeLessThanOrEqual(held)
    expect(cage.runtime.state.read().circuits.openai?.state ?? 'closed').toBe('closed')
  })

  test('a client that leaves while it waits for held money holds nothing', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '0.004' })
    cage.provider.does(hangs)
    const first = new AbortController()
    const running = agent.open({ stream: false }, first.signal).catch(() => undefined)
    await cage.provider.arrived(1)
    const second = new AbortController()
    const waiting = agent.open({ stream: false }, second.signal).catch(() => undefined)
    second.abort()
    await waiting
    first.abort()
    await running
    await until(() => agent.balance().held === '0', 'the hold ends')
    expect(cage.rows()).toHaveLength(1)
    expect(cage.provider.requests).toHaveLength(1)
  })
})

describe('a ledger that cannot be written', () => {
  test('a ledger that cannot be written before a call refuses it, and nothing is sent', async () => {
    const cage = await openTestRuntime({ faults: /cannot write/ })
    const agent = cage.addAgent()
    const other = new Sqlite(cage.database.name)
    other.exec('BEGIN IMMEDIATE')
    const reply = await agent.chat()
    expect([reply.status, codeOf(reply)]).toEqual([503, 'database_unusable'])
    expect(cage.provider.requests).toEqual([])
    // Nor does it hold anybody up: with a separate try, each would block for 50 ms, and this test run out of time.
    const replies = await Promise.all(Array.from({ length: 100 }, () => agent.chat()))
    expect(replies.every(({ status }) => status === 503)).toBe(true)
    expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
    other.exec('ROLLBACK')
    other.close()
    await until(async () => (await agent.chat()).status === 200, 'calls pass again')
  })

  test('a ledger that cannot be written after a call charges it in memory at once, answers, and writes its row when it can', async () => {
    const cage = await openTestRuntime({ faults: /cannot write/ })
    const agent = cage.addAgent()
    const other = new Sqlite(cage.database.name)
    cage.provider.does((response, received) => {
      other.exec('BEGIN IMMEDIATE')
      return answer({ usage: usage('openai', 0, 4) })(response, received)
    })
    expect((await agent.chat()).status).toBe(200)
    expect(agent.balance()).toMatchObject({ spent: '0.004', held: '0' })
    expect(onlyRow(cage).state).toBe('held')
    expect((await cage.get('/api/health')).status).toBe(503)
    other.exec('ROLLBACK')
    other.close()
    await cage.event('call.completed')
    expect(onlyRow(cage)).toMatchObject({ state: 'charged', cost: 4_000_000 })
    expect((await cage.get('/api/health')).status).toBe(200)
  })
})

describe('a budget that changes while calls wait', () => {
  test('a budget that changes while calls wait lets a waiting call pass when it is raised, and refuses at once when it is lowered', async () => {
    const cage = await openTestRuntime({ clock: patientClock })
    const agent = cage.addAgent({ limit: '0.005' })
    const { access_token } = await cage.login()
    let finish = () => {}
    cage.provider.doesOnce(async (response, received) => {
      await new Promise<void>((resolve) => {
        finish = resolve
      })
      return answer({ usage: usage('openai', 0, 4) })(response, received)
    })
    const running = agent.chat()
    await cage.provider.arrived(1)
    const waiting = agent.chat({ max_tokens: 5 })
    const raised = await cage.post(`/api/agents/${agent.id}/budget`, { add_usd: '0.005' }, access_token, 'PATCH')
    expect(raised.status).toBe(200)
    expect((await waiting).status).toBe(200)
    await cage.post(`/api/agents/${agent.id}/budget`, { limit_usd: '0.001' }, access_token, 'PATCH')
    const refused = await agent.chat()
    expect([refused.status, codeOf(refused)]).toEqual([402, 'budget_exceeded'])
    finish()
    expect((await running).status).toBe(200)
    expect(agent.balance()).toEqual({ limit: '0.001', spent: '0.009', held: '0' })
  })

  test('held money that does not come back within two seconds is a 429 that may be tried again', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '0.005' })
    cage.provider.doesOnce(hangs)
    const leaving = new AbortController()
    const running = agent.open({ stream: false }, leaving.signal).catch(() => undefined)
    await cage.provider.arrived(1)
    const reply = await agent.chat()
    expect([reply.status, codeOf(reply)]).toEqual([429, 'budget_held'])
    expect(reply.headers['retry-after']).toBe('1')
    expect(reply.headers['x-should-retry']).toBeUndefined()
    leaving.abort()
    await running
    await cage.event('call.failed')
  })
})

describe('personal data in a reply', () => {
  const text = 'Write to ceo@piileaker.com about it.'

  test.each(DIALECTS)(
    'personal data in a reply is replaced (%s), and the rest of the reply is as it was',
    async (dialect) => {
      const cage = await openTestRuntime()
      const agent = cage.addAgent()
      cage.provider.does(answer({ text }))
      const reply = await agent.call(dialect)
      expect(reply.json()).toEqual(JSON.parse(whole(dialect, { text: 'Write to [EMAIL_REDACTED] about it.' })))
      expect(reply.headers['x-iron-cage-redactions']).toBe('1')
      expect(cage.of('pii.found')).toHaveLength(1)
      expect(JSON.stringify(cage.events)).not.toContain('ceo@piileaker.com')
    },
  )

  test.each(DIALECTS)(
    'blocked personal data (%s) withholds the whole reply, which is charged all the same',
    async (dialect) => {
      const cage = await openTestRuntime({ safety: { mode: 'block' } })
      const agent = cage.addAgent()
      cage.provider.does(answer({ text }))
      const reply = await agent.call(dialect)
      expect([reply.status, codeOf(reply)]).toEqual([422, 'pii_blocked'])
      expect(reply.text).not.toContain('Write to')
      expect(onlyRow(cage)).toMatchObject({ state: 'charged', cost: 5_000_000 })
      expect(cage.runtime.state.read().circuits.openai?.state ?? 'closed').toBe('closed')
    },
  )

  test.each(DIALECTS)('personal data that only warns (%s) stays in the reply', async (dialect) => {
    const cage = await openTestRuntime({ safety: { mode: 'warn' } })
    const agent = cage.addAgent()
    cage.provider.does(answer({ text }))
    expect((await agent.call(dialect)).json()).toEqual(JSON.parse(whole(dialect, { text })))
    expect(cage.of('pii.found').map(({ data }) => data.action)).toEqual(['warn'])
  })

  test.each(DIALECTS)('personal data in the arguments of a tool is replaced too (%s)', async (dialect) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const parts =
      dialect === 'openai'
        ? {
            choices: [
              { message: { content: null, tool_calls: [{ function: { name: 'f', arguments: `{"to":"${text}"}` } }] } },
            ],
          }
        : { content: [{ type: 'tool_use', id: 't', name: 'f', input: { to: [text], n: 1 } }] }
    cage.provider.does(sends(200, JSON_TYPE, { ...parts, usage: usage(dialect, 1, 1) }))
    const reply = await agent.call(dialect)
    expect(reply.text).toContain('[EMAIL_REDACTED]')
    expect(reply.text).not.toContain('ceo@')
    expect(cage.of('pii.found').map(({ data }) => data.place)).toEqual(['tool_arguments'])
  })

  test("personal data in a provider's refusal is replaced", async () => {
    const cage = await openTestRuntime()
    cage.provider.does(sends(400, JSON_TYPE, { error: { message: text } }))
    const reply = await cage.addAgent().chat()
    expect(reply.json()).toEqual({ error: { message: 'Write to [EMAIL_REDACTED] about it.' } })
  })

  test.each(DIALECTS)(
    'a failed search for personal data (%s) withholds the reply, which is charged',
    async (dialect) => {
      const cage = await openTestRuntime({ open: openParts })
      const agent = cage.addAgent()
      cage.provider.does(answer({ text }))
      const failing = vi.spyOn(Redactor.prototype, 'redact').mockImplementation(() => {
        throw new Error('a detector is broken')
      })
      try {
        const reply = await agent.call(dialect)
        expect([reply.status, codeOf(reply)]).toEqual([502, 'redaction_failed'])
        expect(reply.text).not.toContain('Write to')
      } finally {
        failing.mockRestore()
      }
      expect(onlyRow(cage)).toMatchObject({ state: 'charged', cost: 5_000_000 })
    },
  )
})

test('a server that closes while calls run ends every hold', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  cage.provider.does(streams(chatFrames({ text: Array(20).fill('word ') }).slice(0, 1_500), 'hangs'))
  const { body } = await agent.open({ model: 'plain' })
  body.on('error', () => undefined)
  await once(body, 'readable')
  // Closing checks that no row is "held".
  await cage.close()
  expect(await cage.provider.requests[0]?.hungUp).toBe(true)
})
