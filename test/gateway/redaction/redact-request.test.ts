import { describe, expect, test } from 'vitest'
import { openTestRuntime } from '../../support/runtime.ts'

const EMAIL = 'jane.canary@northwind-traders.com'
const SIGNATURE = Buffer.alloc(96, 'signature').toString('base64')
const PNG = Buffer.from('89504e470d0a1a0a0000000d4948445200000001000000010806000000'.padEnd(120, '0'), 'hex').toString(
  'base64',
)
const scope = ['replies', 'tool_arguments', 'logs', 'requests']

describe('the content of a request', () => {
  test('the content of a request is sent as it is, unless the policy covers requests', async () => {
    const cage = await openTestRuntime()
    await cage.addAgent().chat({ messages: [{ role: 'user', content: `Write to ${EMAIL}.` }] })
    expect(cage.provider.requests[0]!.body).toContain(EMAIL)
    expect(cage.of('pii.found')).toEqual([])
  })

  test.each<[name: string, dialect: 'openai' | 'anthropic', body: object]>([
    ['a message', 'openai', { messages: [{ role: 'user', content: `Write to ${EMAIL}.` }] }],
    ['a part of a message', 'openai', { messages: [{ role: 'user', content: [{ type: 'text', text: EMAIL }] }] }],
    [
      'the arguments and the answer of a tool',
      'openai',
      {
        messages: [
          {
            role: 'assistant',
            tool_calls: [{ id: 't', type: 'function', function: { name: 'f', arguments: `{"to":"${EMAIL}"}` } }],
          },
          { role: 'tool', tool_call_id: 't', content: `{"from":"${EMAIL}"}` },
        ],
      },
    ],
    ['a system prompt', 'anthropic', { system: `You are ${EMAIL}.` }],
    ['a part of a system prompt', 'anthropic', { system: [{ type: 'text', text: EMAIL }] }],
    [
      'the input and the result of a tool',
      'anthropic',
      {
        messages: [
          {
            role: 'assistant',
            content: [{ type: 'tool_use', id: 't', name: 'f', input: { type: 'mail', to: [EMAIL] } }],
          },
          {
            role: 'user',
            content: [{ type: 'tool_result', tool_use_id: 't', content: [{ type: 'text', text: EMAIL }] }],
          },
        ],
      },
    ],
  ])('the content of a request is redacted with the scope requests: %s', async (_name, dialect, body) => {
    const cage = await openTestRuntime({ safety: { scope } })
    const agent = cage.addAgent()
    expect((await agent.call(dialect, body as Record<string, unknown>)).status).toBe(200)
    await agent.call(dialect, body as Record<string, unknown>)
    expect(cage.provider.requests).toHaveLength(2)
    for (const { body: sent } of cage.provider.requests) {
      expect(sent).toContain('[EMAIL_REDACTED]')
      expect(sent).not.toContain('jane.canary')
    }
    // The conversation came twice, the incident once.
    expect(cage.of('pii.found')).toMatchObject([{ data: { place: 'request', pii_type: 'email', action: 'redact' } }])
  })

  test('the content of a request keeps its images, ids and signed thoughts', async () => {
    const cage = await openTestRuntime({ safety: { scope } })
    const messages = [
      { role: 'assistant', content: [{ type: 'thinking', thinking: EMAIL, signature: SIGNATURE }] },
      { role: 'user', content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } }] },
    ]
    await cage.addAgent().message({ messages })
    expect(JSON.parse(cage.provider.requests[0]!.body).messages).toEqual(messages)
  })

  test.each<[name: string, dialect: 'openai' | 'anthropic', body: object]>([
    [
      'an unsigned thought',
      'anthropic',
      { messages: [{ role: 'assistant', content: [{ type: 'thinking', thinking: EMAIL, signature: 's' }] }] },
    ],
    [
      'an image that is none',
      'anthropic',
      {
        messages: [
          {
            role: 'user',
            content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: EMAIL } }],
          },
        ],
      },
    ],
    [
      'a message that calls itself reasoning',
      'openai',
      { messages: [{ role: 'user', type: 'reasoning', content: EMAIL }] },
    ],
    [
      'the description of a tool',
      'openai',
      { tools: [{ type: 'function', function: { name: 'f', description: EMAIL } }] },
    ],
    ['the name of a field', 'openai', { metadata: { [EMAIL]: 'x' } }],
    ['an unknown field', 'openai', { 'of-another-server': { deep: [EMAIL] } }],
    ['a prediction', 'openai', { prediction: { type: 'content', content: EMAIL } }],
    [
      'an address over two parts of a text',
      'openai',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: `Write to ${EMAIL.slice(0, 12)}` },
              { type: 'text', text: `${EMAIL.slice(12)}.` },
            ],
          },
        ],
      },
    ],
    ['a number behind its name', 'openai', { metadata: { phone: 4_157_332_671 } }],
  ])('the content of a request hides no other finding: %s', async (_name, dialect, body) => {
    const cage = await openTestRuntime({ safety: { scope } })
    expect((await cage.addAgent().call(dialect, body as Record<string, unknown>)).status).toBe(200)
    const { body: sent } = cage.provider.requests[0]!
    expect(sent).toMatch(/\[(EMAIL|PHONE)_REDACTED\]/)
    expect(sent).not.toMatch(/jane|canary|northwind|4157332671/)
    expect(cage.of('pii.found')).toMatchObject([{ data: { place: 'request' } }])
  })

  test('the content of a request is redacted in the query and on routes that cost nothing as well', async () => {
    const cage = await openTestRuntime({ safety: { scope } })
    const agent = cage.addAgent()
    const body = JSON.stringify({ model: 'plain', messages: [{ role: 'user', content: EMAIL }] })
    await agent.send('anthropic', 'POST', '/v1/messages/count_tokens', body)
    await agent.send('openai', 'GET', `/v1/models?after=${encodeURIComponent(EMAIL)}`)
    await agent.chat({}, { 'x-title': EMAIL })
    expect(cage.provider.requests).toHaveLength(3)
    expect(JSON.stringify(cage.provider.requests)).not.toContain('northwind')
  })

  test('under a blocking policy a request with a finding is not sent, costs nothing and is reported', async () => {
    const cage = await openTestRuntime({ safety: { scope, mode: 'block' } })
    const agent = cage.addAgent()
    const { status, text } = await agent.chat({ messages: [{ role: 'user', content: EMAIL }] })
    expect(status).toBe(422)
    expect(text).toContain('the request held personal data (email)')
    expect(cage.provider.requests).toEqual([])
    expect(agent.balance()).toEqual({ limit: '10', spent: '0', held: '0' })
    expect(cage.of('pii.found')).toMatchObject([{ data: { place: 'request', action: 'block' } }])
  })
})
