/** The HTTP side of calls: addresses, headers, sizes. */
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { sends, writeInTurn } from '../support/provider.ts'
import { openTestRuntime, type Reply } from '../support/runtime.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const codeOf = (reply: Reply) => (reply.json().error as { code: string }).code
const BODY = '{"model":"penny","max_tokens":4,"messages":[]}'

describe('an address of the gateway', () => {
  test.each([
    ['openai', '/chat/completions', '/v1/chat/completions'],
    ['openai', '/v1/chat/completions', '/v1/chat/completions'],
    ['openai', '/v1/v1/chat/completions', '/v1/chat/completions'],
    ['openai', '//v1/chat/completions', '/v1/chat/completions'],
    ['openai', '/v1//chat/completions', '/v1/chat/completions'],
    ['openai', '/v1/chat/completions?beta=true', '/v1/chat/completions?beta=true'],
    ['anthropic', '/messages', '/v1/messages'],
    ['anthropic', '/v1/messages', '/v1/messages'],
    ['anthropic', '/v1/v1/messages', '/v1/messages'],
    ['anthropic', '//v1/messages?beta=true', '/v1/messages?beta=true'],
  ])('an address of the gateway may be written as clients do: %s%s', async (provider, path, upstream) => {
    const cage = await openTestRuntime()
    const reply = await cage.addAgent().send(provider, 'POST', path, BODY)
    expect(reply.status).toBe(200)
    expect(cage.provider.requests.map(({ url }) => url)).toEqual([upstream])
  })

  test('a free route of the gateway is passed on and costs nothing', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '0' })
    cage.provider.does(sends(200, { ...JSON_TYPE, 'openai-version': '7' }, { data: [{ id: 'gpt-4' }] }))
    const reply = await agent.send('openai', 'GET', '/v1/models')
    expect([reply.status, reply.json(), reply.headers['openai-version']]).toEqual([
      200,
      { data: [{ id: 'gpt-4' }] },
      '7',
    ])
    expect((await agent.send('anthropic', 'POST', '/v1/messages/count_tokens', BODY)).status).toBe(200)
    expect(cage.provider.requests.map(({ url }) => url)).toEqual(['/v1/models', '/v1/messages/count_tokens'])
    expect(cage.rows()).toEqual([])
  })

  test('an address of the gateway answers the probe of a client', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    expect((await agent.send('anthropic', 'HEAD', '')).status).toBe(200)
    expect((await agent.send('anthropic', 'HEAD', '/')).status).toBe(200)
    expect(cage.provider.requests).toEqual([])
  })

  test.each([
    ['an unknown token', 'run_0123456789/openai/v1/chat/completions', 401, 'unauthorized'],
    ['no token', '/openai/v1/chat/completions', 404, 'not_found'],
    ['an unknown provider', '<token>/mistral/v1/chat/completions', 404, 'not_found'],
    ['a provider called like a property of every object', '<token>/__proto__/v1/chat/completions', 404, 'not_found'],
    ['an unknown service', '<token>/services/constructor/x', 404, 'not_found'],
  ])('an address of the gateway with %s is refused without a call', async (_name, path, status, code) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const reply = await cage.post(`/gateway/${path.replace('<token>', agent.token)}`, BODY)
    expect([reply.status, codeOf(reply)]).toEqual([status, code])
    expect(reply.headers['x-should-retry']).toBe('false')
    expect(cage.provider.requests).toEqual([])
    expect(cage.rows()).toEqual([])
  })

  test('an address of the gateway is invalid when its run has ended', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    cage.runtime.runTokens.revoke(agent.runId)
    expect((await agent.chat()).status).toBe(401)
    expect(cage.provider.requests).toEqual([])
  })
})

describe('headers to the provider', () => {
  const CLIENT = {
    'user-agent': 'OpenAI/Python 1.0',
    'openai-organization': 'org-1',
    'openai-beta': 'assistants=v2',
    'idempotency-key': 'key-1',
    'x-stainless-lang': 'python',
  }

  test('headers to the provider are those that the dialect knows, and no others', async () => {
    const cage = await openTestRuntime()
    const hidden = {
      'anthropic-beta': 'of another dialect',
      'x-nobody-knows': 'jane@northwind-traders.com',
      cookie: 'session=1',
      'x-forwarded-for': '10.0.0.1',
      'accept-encoding': 'gzip, br',
      'proxy-authorization': 'Basic x',
      te: 'trailers',
    }
    await cage.addAgent().chat({}, { ...CLIENT, ...hidden })
    const { headers, body } = cage.provider.requests[0]!
    expect(headers).toMatchObject({
      ...CLIENT,
      authorization: 'Bearer sk-of-the-agent',
      'content-type': 'application/json',
      'accept-encoding': 'identity',
      host: new URL(cage.provider.url).host,
      'content-length': String(Buffer.byteLength(body)),
    })
    for (const name of Object.keys(hidden)) {
      if (name !== 'accept-encoding') expect(headers[name]).toBeUndefined()
    }
  })

  test.each([
    { dialect: 'openai', sent: { authorization: 'Bearer sk-1' }, got: { authorization: 'Bearer sk-1' } },
    { dialect: 'anthropic', sent: { 'x-api-key': 'sk-2' }, got: { 'x-api-key': 'sk-2' } },
    { dialect: 'openai', sent: 'the token', got: { authorization: 'Bearer sk-of-the-server' } },
    { dialect: 'anthropic', sent: 'the token', got: { 'x-api-key': 'sk-ant-of-the-server' } },
    { dialect: 'openai', sent: {}, got: { authorization: 'Bearer sk-of-the-server' } },
  ] as const)(
    'headers to the provider carry the key of $dialect that goes with $sent',
    async ({ dialect, sent, got }) => {
      const cage = await openTestRuntime()
      const agent = cage.addAgent()
      const headers = sent === 'the token' ? { authorization: `Bearer ${agent.token}` } : sent
      const path = dialect === 'openai' ? '/chat/completions' : '/messages'
      const reply = await agent.send(dialect, 'POST', path, BODY, {
        ...JSON_TYPE,
        ...(headers as Record<string, string>),
      })
      expect(reply.status).toBe(200)
      const { authorization, 'x-api-key': apiKey } = cage.provider.requests[0]!.headers
      expect({ authorization, 'x-api-key': apiKey }).toEqual({
        authorization: undefined,
        'x-api-key': undefined,
        ...got,
      })
    },
  )

  test('headers to the provider never carry a run token, not even of a run that has ended', async () => {
    const cage = await openTestRuntime({ environment: { OPENAI_API_KEY: '', ANTHROPIC_API_KEY: '' } })
    const [agent, other] = [cage.addAgent(), cage.addAgent()]
    cage.runtime.runTokens.revoke(other.runId)
    for (const token of [agent.token, other.token]) {
      const reply = await agent.chat({}, { authorization: `Bearer ${token}` })
      expect([reply.status, codeOf(reply)]).toEqual([401, 'provider_key_missing'])
    }
    expect(cage.provider.requests).toEqual([])
    expect(cage.rows()).toEqual([])
  })
})

describe('headers of an answer', () => {
  test('headers of an answer that clients read are passed on, and those of another body are not', async () => {
    const cage = await openTestRuntime()
    const passed = { 'x-request-id': 'req_1', 'x-ratelimit-remaining-tokens': '5', 'openai-processing-ms': '7' }
    const dropped = { 'set-cookie': 'a=1', server: 'nginx', 'transfer-encoding': 'chunked' }
    cage.provider.does(sends(200, { ...JSON_TYPE, ...passed, ...dropped }, { choices: [], usage: null }))
    const { headers, text } = await cage.addAgent().chat()
    expect(headers).toMatchObject({ ...passed, 'content-length': String(text.length) })
    for (const name of Object.keys(dropped)) expect(headers[name]).toBeUndefined()
  })

  test('a refusal has our headers, in the shape of the dialect', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '0' })
    const [openai, anthropic] = [await agent.chat(), await agent.message()]
    expect([openai.status, anthropic.status]).toEqual([402, 402])
    expect(openai.json()).toMatchObject({
      error: { type: 'invalid_request_error', code: 'budget_exceeded', param: null },
    })
    expect(anthropic.json()).toMatchObject({ type: 'error', error: { type: 'billing_error', code: 'budget_exceeded' } })
    for (const { headers } of [openai, anthropic]) {
      expect(headers).toMatchObject({ ...JSON_TYPE, 'x-should-retry': 'false' })
      expect(headers['x-request-id']).toMatch(/^(call|req)-/)
    }
    expect(cage.provider.requests).toEqual([])
  })
})

describe('a body', () => {
  test('a body of fifty megabytes is refused without a call', async () => {
    const cage = await openTestRuntime()
    const reply = await cage.addAgent().chat(`{"model":"penny","x":"${'a'.repeat(50 * 1024 * 1024)}"}`)
    expect([reply.status, codeOf(reply)]).toEqual([413, 'body_too_large'])
    expect(cage.provider.requests).toEqual([])
  })

  test('a body in chunks without end is refused while it comes', async () => {
    const cage = await openTestRuntime({ server: { max_body_bytes: 1024 * 1024 } })
    const request = httpRequest(`${cage.addAgent().openai}/chat/completions`, { method: 'POST', headers: JSON_TYPE })
    request.on('error', () => undefined)
    const endless = setInterval(() => request.write('a'.repeat(64 * 1024)), 0)
    const [response] = await once(request, 'response')
    clearInterval(endless)
    expect(response.statusCode).toBe(413)
    request.destroy()
    expect(cage.provider.requests).toEqual([])
  })

  test.each([
    ['both lengths', 'content-length: 5\r\ntransfer-encoding: chunked\r\n', '400'],
    ['two lengths', 'content-length: 5\r\ncontent-length: 6\r\n', '400'],
    ['no length it could have', 'content-length: -1\r\n', '400'],
  ])('a body with %s is refused without a call', async (_name, headers, status) => {
    const cage = await openTestRuntime()
    const { port, host, pathname } = new URL(`${cage.addAgent().openai}/chat/completions`)
    const socket = connect(Number(port), '127.0.0.1')
    socket.end(`POST ${pathname} HTTP/1.1\r\nhost: ${host}\r\n${headers}\r\n${BODY}`)
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    socket.destroy()
    expect(cage.provider.requests).toEqual([])
  })

  test('a body that ends early makes no call', async () => {
    const cage = await openTestRuntime()
    const { port, host, pathname } = new URL(`${cage.addAgent().openai}/chat/completions`)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`POST ${pathname} HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 5000\r\n\r\n${BODY}`)
    await once(socket, 'connect')
    socket.destroy()
    await cage.addAgent().chat()
    expect(cage.provider.requests).toHaveLength(1)
  })

  test('nested a hundred thousand times deep is refused, and the server lives', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    const reply = await agent.chat(`{"model":"penny","max_tokens":4,"messages":${deep}}`)
    expect([reply.status, codeOf(reply)]).toEqual([400, 'bad_request'])
    cage.provider.does(sends(200, JSON_TYPE, `{"choices":${deep},"usage":{"prompt_tokens":1,"completion_tokens":1}}`))
    const answered = await agent.chat()
    expect([answered.status, codeOf(answered)]).toEqual([502, 'provider_reply_invalid'])
    expect(agent.balance().held).toBe('0')
    expect((await cage.get('/api/health')).status).toBe(200)
  })
})

describe('an answer', () => {
  test('an answer of a hundred megabytes is a 502', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    cage.provider.does(async (response) => {
      response.writeHead(200, JSON_TYPE)
      response.on('error', () => undefined)
      for (let left = 100; left > 0 && !response.destroyed; left--) {
        await writeInTurn(response, Buffer.alloc(1024 * 1024, ' '))
      }
      response.end()
    })
    const reply = await agent.chat()
    expect([reply.status, codeOf(reply)]).toEqual([502, 'reply_too_large'])
    expect(await cage.provider.requests[0]?.hungUp).toBe(true)
  })

  test('a compressed answer to a request for an uncompressed one is a 502, and is never unpacked', async () => {
    const cage = await openTestRuntime()
    cage.provider.does((response) => {
      response.writeHead(200, { ...JSON_TYPE, 'content-encoding': 'gzip' })
      response.end(gzipSync(Buffer.alloc(50 * 1024 * 1024)))
    })
    const reply = await cage.addAgent().chat()
    expect([reply.status, codeOf(reply)]).toEqual([502, 'provider_reply_invalid'])
  })
})
