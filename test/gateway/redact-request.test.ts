import { describe, expect, test } from 'vitest'
import { openTestRuntime } from '../support/runtime.ts'

const EMAIL = 'jane.canary@northwind-traders.com'
const scope = ['replies', 'tool_arguments', 'logs', 'requests']

describe('what an agent sends', () => {
  test('is sent as it is, unless the policy covers requests', async () => {
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
  ])('is redacted with the scope requests: %s', async (_name, dialect, body) => {
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

  test('keeps its images, ids and signed thoughts', async () => {
    const cage = await openTestRuntime({ safety: { scope } })
    const messages = [
      { role: 'assistant', content: [{ type: 'thinking', thinking: EMAIL, signature: 's' }] },
      { role: 'user', content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: EMAIL } }] },
    ]
    await cage.addAgent().message({ messages })
    expect(JSON.parse(cage.provider.requests[0]!.body).messages).toEqual(messages)
  })

  test('is not sent at all, costs nothing and is told when the policy says block', async () => {
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
