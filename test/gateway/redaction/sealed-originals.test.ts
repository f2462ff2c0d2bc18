/**
 * What redaction took from a client comes back to the provider word for word: thinking that it signed, and token ids
 * that only it can read. The providers here refuse texts that are not theirs.
 */
import { hash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type AwsEvent, decodeEvents, encodeEvent } from '../../support/event-stream.ts'
import { type Script, sends, streams } from '../../support/provider.ts'
import { openTestRuntime, type RuntimeOptions, type TestAgent, type TestRuntime } from '../../support/runtime.ts'

const EMAIL = 'jane.roe@northwind-traders.com'
const PIECES = ['Ask jane.ro', 'e@northwind', '-traders.com', ' or Bob.']
const THOUGHT = PIECES.join('')
const SAFE = 'Ask [EMAIL_REDACTED] or Bob.'
const JSON_TYPE = { 'content-type': 'application/json' }
const signed = (text: string): string => hash('sha512', text, 'base64')

type Value = { [name: string]: unknown }

async function open(options: RuntimeOptions = {}): Promise<{ cage: TestRuntime; agent: TestAgent }> {
  const cage = await openTestRuntime({
    others: { ollama: {}, bedrock: {} },
    prices: { 'anthropic.claude-x': { input_per_mtok: 1, output_per_mtok: 1 } },
    environment: { AWS_ACCESS_KEY_ID: 'AKIA-of-the-server', AWS_SECRET_ACCESS_KEY: 'secret-of-the-server' },
    ...options,
  })
  return { cage, agent: cage.addAgent({ limit: '1000' }) }
}

/** The client's next messages, after its own question. */
const ask = (agent: TestAgent, provider: string, path: string, body: Value) =>
  agent.send(provider, 'POST', path, JSON.stringify(body))

const lastBody = (cage: TestRuntime): Value => JSON.parse(cage.provider.requests.at(-1)!.body) as Value

const anthropicAsks = (...content: unknown[]): Value => ({
  model: 'plain',
  max_tokens: 50,
  messages: [
    { role: 'user', content: 'Who?' },
    ...(content.length === 0
      ? []
      : [
          { role: 'assistant', content },
          { role: 'user', content: 'And?' },
        ]),
  ],
})

const thinking = (text: string): Value => ({ type: 'thinking', thinking: text, signature: signed(text) })

const says = (...content: Value[]): Script =>
  sends(200, JSON_TYPE, {
    ...{ id: 'msg_1', type: 'message', role: 'assistant', model: 'plain', content, stop_reason: 'end_turn' },
    usage: { input_tokens: 10, output_tokens: 5 },
  })

test("a whole thought of Anthropic’s is restored to its signed form, and the client's content around it is kept", async () => {
  const { cage, agent } = await open()
  cage.provider.does(says(thinking(THOUGHT), { type: 'text', text: 'Hello.' }))
  const reply = JSON.parse((await ask(agent, 'anthropic', '/v1/messages', anthropicAsks())).text) as {
    content: Value[]
  }
  expect(reply.content[0]).toEqual({ type: 'thinking', thinking: SAFE, signature: expect.any(String) })
  expect(JSON.stringify(reply)).not.toContain(EMAIL)
  await ask(agent, 'anthropic', '/v1/messages', anthropicAsks(...reply.content))
  expect(lastBody(cage).messages).toEqual(anthropicAsks(thinking(THOUGHT), { type: 'text', text: 'Hello.' }).messages)
})

test('a thought in which nothing was redacted keeps its signature', async () => {
  const { cage, agent } = await open()
  cage.provider.does(says(thinking('Nobody.')))
  const { text } = await ask(agent, 'anthropic', '/v1/messages', anthropicAsks())
  expect((JSON.parse(text) as { content: Value[] }).content).toEqual([thinking('Nobody.')])
})

test('a large reply and a large request do the same on their own thread', async () => {
  const { cage, agent } = await open()
  const content = [thinking(THOUGHT), { type: 'text', text: 'x '.repeat(200_000) }]
  const usage = { input_tokens: 10, output_tokens: 200_000 }
  const said = { id: 'msg_1', type: 'message', role: 'assistant', model: 'plain', content, usage }
  cage.provider.does(sends(200, JSON_TYPE, said))
  const asked = { ...anthropicAsks(), max_tokens: 300_000 }
  const reply = JSON.parse((await ask(agent, 'anthropic', '/v1/messages', asked)).text) as typeof said
  expect(reply.content[0]).toMatchObject({ thinking: SAFE })
  const body = { ...anthropicAsks(...reply.content), model: 'penny' }
  expect(await ask(agent, 'anthropic', '/v1/messages', body)).toMatchObject({ status: 200 })
  const [, sent] = lastBody(cage).messages as { content: Value[] }[]
  expect(sent!.content[0]).toEqual(thinking(THOUGHT))
  expect(sent!.content[1]!.text).toHaveLength(400_000)
})

test.each([[['replies', 'tool_arguments', 'logs']], [['replies', 'tool_arguments', 'logs', 'requests']]])(
  'a streamed thought goes back as it was signed, whether the policy covers %s',
  async (scope) => {
    const { cage, agent } = await open({ safety: { scope } })
    const frame = (event: Value) => `event: ${String(event.type)}\ndata: ${JSON.stringify(event)}\n\n`
    const delta = (fields: Value) => frame({ type: 'content_block_delta', index: 0, delta: fields })
    const usage = { input_tokens: 10, output_tokens: 5 }
    cage.provider.does(
      streams([
        frame({ type: 'message_start', message: { id: 'msg_1', role: 'assistant', content: [], usage } }),
        frame({
          type: 'content_block_start',
          index: 0,
          content_block: { type: 'thinking', thinking: '', signature: '' },
        }),
        ...PIECES.map((piece) => delta({ type: 'thinking_delta', thinking: piece })),
        delta({ type: 'signature_delta', signature: signed(THOUGHT) }),
        frame({ type: 'content_block_stop', index: 0 }),
        frame({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage }),
        frame({ type: 'message_stop' }),
      ]),
    )
    const { text } = await ask(agent, 'anthropic', '/v1/messages', { ...anthropicAsks(), stream: true })
    const deltas = [...text.matchAll(/^data: (.*)$/gm)].map(
      ([, data]) => (JSON.parse(data!) as { delta?: Value }).delta,
    )
    const seen = deltas.map((one) => one?.thinking ?? '').join('')
    const signature = deltas.find((one) => one?.type === 'signature_delta')!.signature
    expect(seen).toBe(SAFE)
    cage.provider.does(says({ type: 'text', text: 'Hello.' }))
    await ask(agent, 'anthropic', '/v1/messages', anthropicAsks({ type: 'thinking', thinking: seen, signature }))
    expect(lastBody(cage).messages).toEqual(anthropicAsks(thinking(THOUGHT)).messages)
  },
)

const MODEL = '/model/anthropic.claude-x'
const converse = (...content: unknown[]): Value => ({
  messages: [
    { role: 'user', content: [{ text: 'Who?' }] },
    ...(content.length === 0 ? [] : [{ role: 'assistant', content }]),
  ],
})
const reasoning = (text: string, signature: unknown = signed(text)): Value => ({
  reasoningContent: { reasoningText: { text, signature } },
})
const COUNTS = { inputTokens: 10, outputTokens: 5, totalTokens: 15 }

test('Bedrock gets its own reasoning back, whole and streamed', async () => {
  const { cage, agent } = await open({ safety: { scope: ['replies', 'tool_arguments', 'requests'] } })
  const whole = sends(200, JSON_TYPE, {
    output: { message: { role: 'assistant', content: [reasoning(THOUGHT)] } },
    ...{ stopReason: 'end_turn', usage: COUNTS },
  })
  cage.provider.does(whole)
  const reply = JSON.parse((await ask(agent, 'bedrock', `${MODEL}/converse`, converse())).text)
  const [block] = reply.output.message.content
  expect(block).toEqual(reasoning(SAFE, expect.any(String)))
  await ask(agent, 'bedrock', `${MODEL}/converse`, converse(block))
  expect(lastBody(cage)).toMatchObject(converse(reasoning(THOUGHT)))

  const delta = (reasoningContent: Value): AwsEvent => ({
    type: 'contentBlockDelta',
    data: { contentBlockIndex: 0, delta: { reasoningContent } },
  })
  const events: AwsEvent[] = [
    { type: 'messageStart', data: { role: 'assistant' } },
    ...PIECES.map((text) => delta({ text })),
    delta({ signature: signed(THOUGHT) }),
    { type: 'contentBlockStop', data: { contentBlockIndex: 0 } },
    { type: 'messageStop', data: { stopReason: 'end_turn' } },
    { type: 'metadata', data: { usage: COUNTS } },
  ]
  cage.provider.does(streams(events.map(encodeEvent), 'ends', 'application/vnd.amazon.eventstream'))
  const streamed = await ask(agent, 'bedrock', `${MODEL}/converse-stream`, converse())
  const thoughts = decodeEvents(Buffer.from(streamed.text, 'latin1')).map(
    ({ data }) => (data as { delta?: { reasoningContent?: Value } }).delta?.reasoningContent ?? {},
  )
  const seen = thoughts.map(({ text = '' }) => text).join('')
  const signature = thoughts.find((one) => one.signature)!.signature
  expect(seen).toBe(SAFE)
  cage.provider.does(whole)
  await ask(agent, 'bedrock', `${MODEL}/converse`, converse(reasoning(seen, signature)))
  expect(lastBody(cage)).toMatchObject(converse(reasoning(THOUGHT)))
})

test('Gemini gets a call of a tool back as it was signed, whole and streamed, in either base64', async () => {
  const { cage, agent } = await open()
  const path = '/v1beta/models/plain'
  const call = { functionCall: { name: 'write', args: { to: EMAIL } }, thoughtSignature: signed(THOUGHT) }
  const contents = (...parts: unknown[]) => ({
    contents: [{ role: 'user', parts: [{ text: 'Who?' }] }, ...(parts.length > 0 ? [{ role: 'model', parts }] : [])],
  })
  const said = {
    candidates: [{ content: { role: 'model', parts: [call] }, index: 0, finishReason: 'STOP' }],
    usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 },
  }
  for (const way of ['generateContent', 'streamGenerateContent?alt=sse']) {
    cage.provider.does(
      way === 'generateContent' ? sends(200, JSON_TYPE, said) : streams(`data: ${JSON.stringify(said)}\n\n`),
    )
    const { text } = await ask(agent, 'google', `${path}:${way}`, contents())
    const reply = JSON.parse(text.replace(/^data: /, '')) as typeof said
    const [part] = reply.candidates[0]!.content.parts
    expect(part!.functionCall.args).toEqual({ to: '[EMAIL_REDACTED]' })
    const forUrls = part!.thoughtSignature.replaceAll('+', '-').replaceAll('/', '_')
    cage.provider.does(sends(200, JSON_TYPE, said))
    await ask(agent, 'google', `${path}:generateContent`, contents({ ...part, thoughtSignature: forUrls }))
    expect(lastBody(cage).contents).toEqual(contents(call).contents)
  }
})

const IDS = [128_006, 882, 128_007, 271, 15_546, 30]
const generated = (context: unknown): Value => ({
  ...{ model: 'plain', response: THOUGHT, done: true, prompt_eval_count: 10, eval_count: 5 },
  context,
})

test.each([false, true])(
  'a conversation with Ollama goes on from ids that the client cannot read (stream: %s)',
  async (stream) => {
    const { cage, agent } = await open()
    cage.provider.does(
      stream
        ? streams([`${JSON.stringify(generated(IDS))}\n`], 'ends', 'application/x-ndjson')
        : sends(200, JSON_TYPE, generated(IDS)),
    )
    const { text } = await ask(agent, 'ollama', '/api/generate', { model: 'plain', prompt: 'Who?', stream })
    const { context } = JSON.parse(text.trim().split('\n').at(-1)!) as { context: number[] }
    expect(context.every((id) => Number.isInteger(id) && id >= 0 && id < 2 ** 31)).toBe(true)
    expect(IDS.filter((id) => context.includes(id))).toEqual([])
    await ask(agent, 'ollama', '/api/generate', { model: 'plain', prompt: 'And?', context, stream: false })
    expect(lastBody(cage)).toMatchObject({ prompt: 'And?', context: IDS })
  },
)

test('token ids from an agent are sent, unless the policy covers requests and the ids cannot be decoded', async () => {
  const { cage, agent } = await open()
  cage.provider.does(sends(200, JSON_TYPE, generated(IDS)))
  const asked = { model: 'plain', prompt: 'And?', context: IDS, stream: false }
  expect((await ask(agent, 'ollama', '/api/generate', asked)).status).toBe(200)
  expect(lastBody(cage)).toMatchObject({ context: IDS })

  const strict = await open({ safety: { scope: ['replies', 'tool_arguments', 'requests'] } })
  const refused = await ask(strict.agent, 'ollama', '/api/generate', asked)
  expect(JSON.parse(refused.text)).toMatchObject({ code: 'redaction_failed', facts: { field: 'context' } })
  const ids = { model: 'plain', input: [IDS] }
  expect((await ask(strict.agent, 'openai', '/v1/embeddings', ids)).text).toContain('token ids')
  expect(strict.cage.provider.requests).toEqual([])
})

test('a seal opens after a restart, and in no other server', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const first = await open({ folder })
  first.cage.provider.does(says(thinking(THOUGHT)))
  const reply = await ask(first.agent, 'anthropic', '/v1/messages', anthropicAsks())
  const { content } = JSON.parse(reply.text) as { content: Value[] }
  await first.cage.close()

  const again = await open({ folder })
  again.cage.provider.does(says({ type: 'text', text: 'Hello.' }))
  await ask(again.agent, 'anthropic', '/v1/messages', anthropicAsks(...content))
  expect(lastBody(again.cage).messages).toEqual(anthropicAsks(thinking(THOUGHT)).messages)

  const other = await open()
  const refused = await ask(other.agent, 'anthropic', '/v1/messages', anthropicAsks(...content))
  expect(refused.status).toBe(400)
  expect(refused.text).toContain('another server sealed')
  expect(other.cage.provider.requests).toEqual([])
})
