/** A provider's own error in the middle of a stream counts as the same error with a status does. */
import { describe, expect, test } from 'vitest'
import { chatFrames, messageFrames, sends, streams } from '../../support/provider.ts'
import { openTestRuntime, type TestRuntime } from '../../support/runtime.ts'

const data = (value: object, event?: string): string =>
  `${event === undefined ? '' : `event: ${event}\n`}data: ${JSON.stringify(value)}\n\n`
const openaiError = (type: string, code: string | number | null) =>
  data({ error: { message: 'It is so.', type, code } })
const anthropicError = (type: string) => data({ type: 'error', error: { type, message: 'It is so.' } }, 'error')
const DELIVERED = chatFrames({ text: ['Hello, there, ', 'you.'] })
  .split(/(?<=\n\n)/)
  .slice(0, 2)
  .join('')

const circuitOf = (cage: TestRuntime, name: string) => cage.runtime.state.read().circuits[name]?.state ?? 'closed'

describe('the error of a provider within a stream', () => {
  test.each([
    ['openai', DELIVERED, openaiError('server_error', null)],
    [
      'openai',
      '',
      data({
        id: 'c',
        choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error' }],
        error: { code: 400, message: 'It is so.', metadata: { error_type: 'x' } },
      }),
    ],
    ['anthropic', messageFrames().split(/(?<=\n\n)/)[0]!, anthropicError('overloaded_error')],
  ] as const)(
    "a provider's error within a stream reaches the client as it came, and ends the stream (%s)",
    async (dialect, before, error) => {
      const cage = await openTestRuntime({ provider: { retries: 0 } })
      cage.provider.does(streams(`${before}${error}data: [DONE]\n\n`))
      const reply = await cage.addAgent().call(dialect, { model: 'plain', max_tokens: 9, stream: true })
      expect([reply.status, reply.text]).toEqual([200, before + error])
      expect(cage.of('call.failed')).toMatchObject([{ data: { code: 'provider_refused' } }])
      expect(cage.of('call.completed')).toEqual([])
    },
  )

  test('the error of a provider within a stream is redacted', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(streams(DELIVERED + data({ error: { message: 'No jane.roe@corp-canary.com here.' } })))
    expect((await cage.addAgent().chat({ stream: true })).text).toBe(
      DELIVERED + data({ error: { message: 'No [EMAIL_REDACTED] here.' } }),
    )
  })

  test.each([
    ['invalid_request_error', 'context_length_exceeded', 'closed', 'closed'],
    ['rate_limit_error', null, 'closed', 'closed'],
    ['insufficient_quota', 'insufficient_quota', 'closed', 'closed'],
    ['server_error', 'rate_limit_exceeded', 'closed', 'closed'],
    ['overloaded_error', null, 'closed', 'open'],
    ['server_error', null, 'open', 'closed'],
    ['of_tomorrow', 502, 'open', 'closed'],
    ['BadRequestError', '400', 'closed', 'closed'],
    ['UNAVAILABLE', 503, 'closed', 'open'],
  ])(
    "a provider's error of type %s and code %s leaves the provider %s and its model %s",
    async (type, code, provider, model) => {
      for (const before of ['', DELIVERED]) {
        const cage = await openTestRuntime({ provider: { retries: 0 } })
        const agent = cage.addAgent()
        cage.provider.does(streams(before + openaiError(type, code)))
        for (let call = 0; call < 5; call++) await agent.chat({ stream: true })
        expect([circuitOf(cage, 'openai'), circuitOf(cage, 'openai/penny')]).toEqual([provider, model])
      }
    },
  )

  test("a provider's error costs nothing before the first delivery, and otherwise the delivered part", async () => {
    const cage = await openTestRuntime({ provider: { retries: 0 } })
    const agent = cage.addAgent()
    cage.provider.doesOnce(streams(openaiError('invalid_request_error', null)))
    await agent.chat({ stream: true })
    expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
    cage.provider.doesOnce(streams(DELIVERED + openaiError('invalid_request_error', null)))
    await agent.chat({ stream: true })
    expect(cage.rows().map(({ state, estimated }) => [state, estimated])).toEqual([
      ['released', 0],
      ['charged', 1],
    ])
    expect(agent.balance().held).toBe('0')
  })

  test('the error of a provider within a stream is retried like an answer with its status, while nothing was sent to the client', async () => {
    const cage = await openTestRuntime({ provider: { retries: 1 } })
    const agent = cage.addAgent()
    cage.provider.doesOnce(streams(openaiError('server_error', null)))
    expect((await agent.chat({ stream: true })).text).toContain('[DONE]')
    cage.provider.doesOnce(streams(openaiError('invalid_request_error', null)))
    expect((await agent.chat({ stream: true })).text).toBe(openaiError('invalid_request_error', null))
    cage.provider.doesOnce(streams(DELIVERED + openaiError('server_error', null)))
    expect((await agent.chat({ stream: true })).text).toBe(DELIVERED + openaiError('server_error', null))
    expect(cage.provider.requests).toHaveLength(4)
  })

  test('the error of a provider within a stream is answered by another model like an answer with its status', async () => {
    const cage = await openTestRuntime({
      others: { openai: { retries: 0, fallback: [{ provider: 'openai', model: 'plain' }] } },
    })
    cage.provider.doesOnce(streams(openaiError('overloaded_error', null)))
    expect((await cage.addAgent().chat({ stream: true })).text).toContain('[DONE]')
    expect(cage.of('fallback.used')).toHaveLength(1)
  })

  test('an error within a stream of the Responses API is an event, or a response that failed', async () => {
    const failed = data({
      type: 'response.failed',
      response: { status: 'failed', error: { code: 'server_error', message: 'x' } },
    })
    const error = data({ type: 'error', code: 'invalid_prompt', message: 'It is so.', param: null })
    for (const [frame, circuit] of [
      [failed, 'open'],
      [error, 'closed'],
    ] as const) {
      const cage = await openTestRuntime({ provider: { retries: 0 } })
      const agent = cage.addAgent()
      cage.provider.does(streams(frame))
      const body = JSON.stringify({ model: 'penny', input: 'x', max_output_tokens: 9, stream: true })
      for (let call = 0; call < 5; call++)
        expect((await agent.send('openai', 'POST', '/v1/responses', body)).text).toBe(frame)
      expect(circuitOf(cage, 'openai')).toBe(circuit)
    }
  })
})

describe('silence', () => {
  test('silence is broken by comments, while the provider is silent and while a text is held back', async () => {
    const cage = await openTestRuntime()
    const frames = chatFrames({ text: ['Hello', ' you.'] }).split(/(?<=\n\n)/)
    let goOn = () => {}
    cage.provider.does(async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(frames.slice(0, 2).join(''))
      await new Promise<void>((resolve) => {
        goOn = resolve
      })
      response.end(frames.slice(2).join(''))
    })
    const { body } = await cage.addAgent().open({ max_tokens: 100 })
    let text = ''
    for await (const piece of body) {
      text += piece
      if (text.includes(': keep-alive\n')) goOn()
    }
    expect(text.replaceAll(': keep-alive\n', '')).toBe(
      frames.filter((frame) => !frame.includes('"choices":[]')).join(''),
    )
  })

  test('silence is not broken for the clients of Gemini, which take a comment for data', async () => {
    const cage = await openTestRuntime()
    const frame = data({
      candidates: [{ content: { parts: [{ text: 'Hi' }] }, finishReason: 'STOP' }],
      modelVersion: 'plain',
    })
    cage.provider.does(async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.flushHeaders()
      setTimeout(() => response.end(frame), 2_500)
    })
    const body = JSON.stringify({ contents: [], generationConfig: { maxOutputTokens: 9 } })
    const path = '/v1beta/models/plain:streamGenerateContent?alt=sse'
    expect((await cage.addAgent().send('google', 'POST', path, body)).text).toBe(frame)
  })
})

test('an answer that is whole though a stream was requested is passed on and charged', async () => {
  const cage = await openTestRuntime()
  const reply = { choices: [{ message: { content: 'ok' } }], usage: { prompt_tokens: 10, completion_tokens: 5 } }
  cage.provider.does(sends(200, { 'content-type': 'application/json' }, reply))
  expect((await cage.addAgent().chat({ stream: true })).json()).toEqual(reply)
  expect(cage.rows()).toMatchObject([{ state: 'charged', estimated: 0 }])
})
