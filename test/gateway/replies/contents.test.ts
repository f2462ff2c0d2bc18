/** The contents of calls: kept only when asked for, redacted, sealed, read by admins alone, and deleted. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { CallContent } from '../../../src/core/call-content.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { toAgentId, toCallId } from '../../../src/core/ids.ts'
import { openStore, type Store } from '../../../src/db/store.ts'
import { Contents, type ContentsOptions } from '../../../src/gateway/replies/contents.ts'
import { newMasterKey } from '../../../src/vault/master-key.ts'
import { encodeEvent } from '../../support/event-stream.ts'
import { answer, sends, streams } from '../../support/provider.ts'
import { openTestRuntime, type RuntimeOptions } from '../../support/runtime.ts'

const keeping = (options: RuntimeOptions = {}) =>
  openTestRuntime({ masterKey: newMasterKey(), calls: { keep_content: true }, ...options })

const PIECES = ['Write to fe', 'rns@gar', 'den.com.']
const MAIL = PIECES.join('')
const TO = { to: 'Bob' }
const OLLAMA = { name: 'mail', arguments: TO }
const COUNTS = { done: true, prompt_eval_count: 10, eval_count: 5 }
const AWS_USAGE = { inputTokens: 10, outputTokens: 5, totalTokens: 15 }
const gemini = (parts: object[], finishReason = 'STOP') => ({
  candidates: [{ index: 0, content: { role: 'model', parts }, finishReason }],
  usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 },
})

interface Wire {
  /** Where it is whole, and where it is streamed. */
  path: readonly [string, string]
  body: object
  whole: object
  stream: (string | Buffer)[]
  type: string
}

const QUESTION = 'Which plants grow beside ceo@acme.com in the shade?'

/** The contents of a store, at midnight of 10 January. */
function contentsIn(store: Store, config: ContentsOptions['config'], vault: ContentsOptions['vault']): Contents {
  onTestFinished(() => store.close())
  const clock = { ...systemClock, now: () => Date.parse('2026-01-10T00:00:00.000Z') }
  const onFault = (error: unknown) => {
    throw error
  }
  return new Contents({ config, store, vault, clock, scrub: String, onFault })
}

const openUnsealed = (_id: string, sealed: Uint8Array) => Buffer.from(sealed)

async function readOf(cage: Awaited<ReturnType<typeof keeping>>): Promise<CallContent> {
  const { access_token } = await cage.login()
  const { id } = cage.rows().at(-1)!
  return (await cage.get(`/api/calls/${id}/content`, access_token)).json() as unknown as CallContent
}

/** The content of each separate dialect: a thought, a text with an address, a call of a tool. */
const WIRES: Record<string, Wire> = {
  ollama: {
    path: ['/api/chat', '/api/chat'],
    body: { model: 'plain', messages: [{ role: 'user', content: 'Who?' }] },
    whole: {
      message: { role: 'assistant', thinking: 'Hm.', content: MAIL, tool_calls: [{ function: OLLAMA }] },
      ...COUNTS,
    },
    stream: [
      { message: { thinking: 'Hm.', content: '' } },
      ...PIECES.map((content) => ({ message: { content } })),
      { message: { content: '', tool_calls: [{ function: OLLAMA }] } },
      { message: { content: '' }, ...COUNTS },
    ].map((line) => `${JSON.stringify(line)}\n`),
    type: 'application/x-ndjson',
  },
  bedrock: {
    path: ['/model/anthropic.claude-x/converse', '/model/anthropic.claude-x/converse-stream'],
    body: { messages: [{ role: 'user', content: [{ text: 'Who?' }] }] },
    whole: {
      output: { message: { role: 'assistant', content: [{ text: MAIL }, { toolUse: { name: 'mail', input: TO } }] } },
      usage: AWS_USAGE,
    },
    stream: [
      ...PIECES.map((text) => ({ type: 'contentBlockDelta', data: { contentBlockIndex: 0, delta: { text } } })),
      { type: 'contentBlockStart', data: { contentBlockIndex: 1, start: { toolUse: { name: 'mail' } } } },
      { type: 'contentBlockDelta', data: { contentBlockIndex: 1, delta: { toolUse: { input: JSON.stringify(TO) } } } },
      { type: 'messageStop', data: { stopReason: 'tool_use' } },
      { type: 'metadata', data: { usage: AWS_USAGE } },
    ].map(encodeEvent),
    type: 'application/vnd.amazon.eventstream',
  },
  google: {
    path: ['/v1beta/models/plain:generateContent', '/v1beta/models/plain:streamGenerateContent'],
    body: { contents: [{ role: 'user', parts: [{ text: 'Who?' }] }] },
    whole: gemini([{ text: 'Hm.', thought: true }, { text: MAIL }, { functionCall: { name: 'mail', args: TO } }]),
    stream: [
      `[${[
        gemini([{ text: 'Hm.', thought: true }], ''),
        ...PIECES.map((text) => gemini([{ text }], '')),
        gemini([{ functionCall: { name: 'mail', args: TO } }]),
      ]
        .map((frame) => JSON.stringify(frame))
        .join(',')}]`,
    ],
    type: 'application/json',
  },
}

describe('the content of a call', () => {
  test('the content of a call is not kept by default', async () => {
    const cage = await openTestRuntime({ masterKey: newMasterKey() })
    await cage.addAgent().chat()
    const { access_token } = await cage.login()
    const { id } = cage.rows()[0]!
    expect((await cage.get(`/api/calls/${id}/content`, access_token)).status).toBe(404)
    expect((await cage.get(`/api/calls/${id}`, access_token)).json()).toMatchObject({ has_content: false })
    expect(cage.database.prepare('SELECT count(*) FROM call_contents').pluck().get()).toBe(0)
  })

  test('the content of a call is kept as a conversation, redacted and sealed, and its reader is in the audit', async () => {
    const cage = await keeping()
    cage.provider.does(answer({ text: 'Ferns, says ferns@garden.com.' }))
    await cage.addAgent().chat({ messages: [{ role: 'user', content: QUESTION }] })
    const { request, reply } = await readOf(cage)
    expect(request).toEqual([
      { role: 'user', parts: [{ kind: 'text', text: 'Which plants grow beside [EMAIL_REDACTED] in the shade?' }] },
    ])
    expect(reply).toEqual([{ role: 'assistant', parts: [{ kind: 'text', text: 'Ferns, says [EMAIL_REDACTED].' }] }])
    for (const file of ['state.db', 'state.db-wal']) {
      expect(readFileSync(join(cage.folder, file)).includes('Which plants grow'), file).toBe(false)
    }
    const { access_token } = await cage.login()
    const { rows } = (await cage.get('/api/audit', access_token)).json() as {
      rows: { action: string; target: string }[]
    }
    expect(rows).toContainEqual(expect.objectContaining({ action: 'content.read', target: cage.rows()[0]!.id }))
  })

  test('the content of a streamed call is put together before it is redacted, also where the policy leaves replies alone', async () => {
    const cage = await keeping({ safety: { mode: 'warn' } })
    cage.provider.does(answer({ text: ['Write to fe', 'rns@gar', 'den.com.'] }))
    const agent = cage.addAgent()
    expect((await agent.chat({ stream: true })).text).toContain('rns@gar')
    expect((await readOf(cage)).reply[0]!.parts).toEqual([{ kind: 'text', text: 'Write to [EMAIL_REDACTED].' }])
    await agent.message({ stream: true })
    expect((await readOf(cage)).reply[0]!.parts).toEqual([{ kind: 'text', text: 'Write to [EMAIL_REDACTED].' }])
  })

  test('the content of a call includes tool calls, whole and streamed', async () => {
    const cage = await keeping()
    const agent = cage.addAgent()
    const call = { id: 't', type: 'function', function: { name: 'mail', arguments: '{"to":"ferns@garden.com"}' } }
    const message = { role: 'assistant', content: null, tool_calls: [call] }
    const body = { choices: [{ index: 0, message }], usage: { prompt_tokens: 1, completion_tokens: 1 } }
    cage.provider.doesOnce(sends(200, { 'content-type': 'application/json' }, JSON.stringify(body)))
    await agent.chat()
    const expected = [{ kind: 'tool_call', name: 'mail', text: '{"to":"[EMAIL_REDACTED]"}' }]
    expect((await readOf(cage)).reply[0]!.parts).toEqual(expected)
    const pieces = ['{"to":"fer', 'ns@garden.com"}'].map((text, index) => ({
      choices: [
        {
          index: 0,
          delta: { tool_calls: [{ index: 0, function: { ...(index === 0 && { name: 'mail' }), arguments: text } }] },
        },
      ],
    }))
    const frames = [...pieces, { choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] }]
    cage.provider.doesOnce(
      streams([...frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`), 'data: [DONE]\n\n'].join('')),
    )
    await agent.chat({ stream: true })
    expect((await readOf(cage)).reply[0]!.parts).toEqual(expected)
  })

  test.each(Object.entries(WIRES))(
    'the content of %s is kept like that of any call, whole and streamed',
    async (name, { path, body, ...said }) => {
      const cage = await keeping({
        others: { ollama: {}, bedrock: {}, cohere: {} },
        prices: { 'anthropic.claude-x': { input_per_mtok: 1, output_per_mtok: 1 } },
        environment: { AWS_ACCESS_KEY_ID: 'AKIA-of-the-server', AWS_SECRET_ACCESS_KEY: 'secret-of-the-server' },
      })
      const agent = cage.addAgent()
      const parts = [
        ...(name === 'bedrock' ? [] : [{ kind: 'reasoning', text: 'Hm.' }]),
        { kind: 'text', text: 'Write to [EMAIL_REDACTED].' },
        { kind: 'tool_call', name: 'mail', text: '{"to":"Bob"}' },
      ]
      const ask = (to: string, stream: boolean) =>
        agent.send(
          name,
          'POST',
          to,
          JSON.stringify(name === 'ollama' || name === 'cohere' ? { ...body, stream } : body),
        )
      cage.provider.doesOnce(sends(200, { 'content-type': 'application/json' }, said.whole))
      await ask(path[0]!, false)
      const { request, reply } = await readOf(cage)
      expect(request.at(-1)).toEqual({ role: 'user', parts: [{ kind: 'text', text: 'Who?' }] })
      expect(reply).toEqual([{ role: expect.stringMatching(/assistant|model/), parts }])
      cage.provider.doesOnce(streams(said.stream, 'ends', said.type))
      await ask(path[1]!, true)
      expect((await readOf(cage)).reply).toEqual([{ role: 'assistant', parts }])
    },
  )

  test('the content of a call is not kept while the vault is locked, and not for viewers', async () => {
    const locked = await openTestRuntime({ calls: { keep_content: true } })
    await locked.addAgent().chat()
    expect(locked.database.prepare('SELECT count(*) FROM call_contents').pluck().get()).toBe(0)
    const cage = await keeping()
    await cage.addAgent().chat()
    const { access_token } = await cage.login()
    const viewer = await cage.post('/api/tokens', { name: 'viewer', role: 'viewer' }, access_token)
    const { token } = viewer.json() as { token: string }
    expect((await cage.get(`/api/calls/${cage.rows()[0]!.id}/content`, token)).status).toBe(403)
  })

  test('the content of a call is erased for one agent or for all, and after its retention', async () => {
    const cage = await keeping()
    const [first, second] = [cage.addAgent({ name: 'first' }), cage.addAgent({ name: 'second' })]
    for (const agent of [first, first, second]) await agent.chat()
    const { access_token } = await cage.login()
    const erase = async (body: object) => (await cage.post('/api/contents/erase', body, access_token)).json()
    expect(await erase({ agent_id: first.id })).toEqual({ erased: 2 })
    expect(await erase({})).toEqual({ erased: 1 })
  })

  test('the content of a call is whole when a letter of several bytes is split between two pieces', () => {
    const vault = { isLocked: false, sealContent: (_id: string, said: Buffer) => said, openContent: openUnsealed }
    const contents = contentsIn(openStore({ path: ':memory:' }), { keep_content: true, retention_days: 7 }, vault)
    let send: (piece: Buffer) => void = () => undefined
    const client: Parameters<Contents['record']>[2] = {
      watch: (onSent) => {
        send = onSent
      },
    }
    const id = toCallId('call-1')
    const recording = contents.record({ id, caller: { agentId: toAgentId('a-1') } }, '{}', client)!
    const reply = JSON.stringify({ choices: [{ message: { role: 'assistant', content: 'Grün 🌿' } }] })
    for (const byte of Buffer.from(reply)) send(Buffer.of(byte))
    recording.keep()
    expect(contents.read(id).reply[0]!.parts).toEqual([{ kind: 'text', text: 'Grün 🌿' }])
  })

  test('the content of a call is removed after its retention', async () => {
    const store = openStore({ path: ':memory:' })
    const put = (call_id: string, at: string) =>
      store.contents.put({ call_id: toCallId(call_id), agent_id: toAgentId('a-1'), at, sealed: Buffer.alloc(1) })
    put('call-old', '2026-01-01T00:00:00.000Z')
    put('call-new', '2026-01-07T00:00:00.000Z')
    const vault = { isLocked: true, sealContent: () => undefined, openContent: openUnsealed }
    await contentsIn(store, { keep_content: false, retention_days: 7 }, vault).prune()
    expect([...store.contents.all()].map(({ call_id }) => call_id)).toEqual(['call-new'])
  })
})
