import { expect, test } from 'vitest'
import { sends, streams } from '../support/provider.ts'
import { openTestRuntime, type TestRuntime } from '../support/runtime.ts'

const PATH = '/v1beta/models/gemini-2.5-flash:generateContent'
const STREAM = '/v1beta/models/gemini-2.5-flash:streamGenerateContent'
const JSON_TYPE = { 'content-type': 'application/json' }
const request = (more: object = {}) =>
  JSON.stringify({ contents: [{ parts: [{ text: 'Who?' }] }], generationConfig: { maxOutputTokens: 50 }, ...more })

const reply = (parts: object[], more: object = {}, usage: object = {}) => ({
  candidates: [{ content: { parts, role: 'model' }, index: 0, ...more }],
  usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15, ...usage },
  modelVersion: 'gemini-2.5-flash',
})
const END = { finishReason: 'STOP' }

async function openGoogle(): Promise<{ cage: TestRuntime; agent: ReturnType<TestRuntime['addAgent']> }> {
  const cage = await openTestRuntime()
  return { cage, agent: cage.addAgent() }
}

test('a call costs the listed price: thoughts count as output, cached tokens as part of the prompt', async () => {
  const { cage, agent } = await openGoogle()
  const usage = {
    promptTokenCount: 1_000,
    cachedContentTokenCount: 400,
    candidatesTokenCount: 100,
    thoughtsTokenCount: 50,
    totalTokenCount: 1_150,
  }
  cage.provider.does(sends(200, JSON_TYPE, reply([{ text: 'Hello.' }], END, usage)))
  expect((await agent.send('google', 'POST', PATH, request())).status).toBe(200)
  // $0.30 for a million tokens read, $0.03 of cached ones, $2.50 written.
  const cost = 600 * 300 + 400 * 30 + 150 * 2_500
  expect(cage.rows()).toMatchObject([{ model: 'gemini-2.5-flash', cost_nanos: cost, estimated: 0 }])
})

test.each([
  ['of any version', '/v1/models/gemini-2.5-flash:generateContent', '/v1/models/gemini-2.5-flash:generateContent'],
  ['without a version', '/models/gemini-2.5-flash:generateContent', PATH],
])('a path %s is known', async (_what, given, sent) => {
  const { cage, agent } = await openGoogle()
  cage.provider.does(sends(200, JSON_TYPE, reply([{ text: 'Hello.' }], END)))
  expect((await agent.send('google', 'POST', given, request())).status).toBe(200)
  expect(cage.provider.requests[0]!.url).toBe(sent)
})

test('a key in the query is sent as a header, and no other parameter is sent', async () => {
  const { cage, agent } = await openGoogle()
  cage.provider.does(sends(200, JSON_TYPE, reply([{ text: 'Hello.' }], END)))
  const headers = { 'content-type': 'application/json' }
  await agent.send('google', 'POST', `${PATH}?key=AIza-of-the-query&fields=candidates`, request(), headers)
  const [received] = cage.provider.requests
  expect(received!.url).toBe(PATH)
  expect(received!.headers['x-goog-api-key']).toBe('AIza-of-the-query')
})

test('an API token in the query is a caller, and the server’s key is sent', async () => {
  const { cage } = await openGoogle()
  const { access_token } = await cage.login()
  const made = (await cage.post('/api/tokens', { name: 'notebook', budget_usd: '1' }, access_token)).json()
  cage.provider.does(sends(200, JSON_TYPE, reply([{ text: 'Hello.' }], END)))
  const url = `${cage.url}/gateway/google${PATH}?key=${String(made.token)}`
  const answer = await fetch(url, { method: 'POST', headers: JSON_TYPE, body: request() })
  expect(answer.status).toBe(200)
  expect(cage.provider.requests[0]!.url).toBe(PATH)
  expect(cage.provider.requests[0]!.headers['x-goog-api-key']).toBe('AIza-of-the-server')
})

test('a stream without events is a JSON array, redacted and complete', async () => {
  const { cage, agent } = await openGoogle()
  const frames = [
    reply([{ text: 'Ask jane.ro' }]),
    reply([{ text: 'e@northwind-tra' }]),
    reply([{ text: 'ders.com, "ok" \\ }]' }], END),
  ]
  const text = `[${frames.map((frame) => JSON.stringify(frame)).join(',\r\n')}\n]`
  const pieces = text.match(/[\s\S]{1,7}/g)!
  cage.provider.does(async (response) => {
    response.writeHead(200, JSON_TYPE)
    for (const piece of pieces) response.write(piece)
    response.end()
  })
  const answer = await agent.send('google', 'POST', STREAM, request())
  const chunks = JSON.parse(answer.text) as ReturnType<typeof reply>[]
  const parts = chunks.flatMap(({ candidates }) => candidates[0]!.content.parts) as { text: string }[]
  expect(parts.map((part) => part.text).join('')).toBe('Ask [EMAIL_REDACTED], "ok" \\ }]')
  expect(chunks.at(-1)!.candidates[0]).toMatchObject(END)
  expect(cage.rows()).toMatchObject([{ state: 'charged', estimated: 0 }])
})

test('thoughts and answer are separate texts, and each keeps its own end', async () => {
  const { cage, agent } = await openGoogle()
  const frames = [
    reply([{ text: 'I think of 415', thought: true }]),
    reply([{ text: '-555', thought: true }, { text: '-0178 is ' }]),
    reply([{ text: 'half.' }], END),
  ]
  cage.provider.does(streams(frames.map((frame) => `data: ${JSON.stringify(frame)}\r\n\r\n`)))
  const answer = await agent.send('google', 'POST', `${STREAM}?alt=sse`, request())
  const parts = answer.text
    .split(/\n\n/)
    .filter(Boolean)
    .flatMap((frame) => (JSON.parse(frame.slice(6)) as ReturnType<typeof reply>).candidates[0]!.content.parts)
  const textOf = (isThought: boolean) =>
    (parts as { text: string; thought?: boolean }[])
      .filter(({ thought = false }) => thought === isThought)
      .map(({ text }) => text)
      .join('')
  expect([textOf(true), textOf(false)]).toEqual(['I think of 415-555', '-0178 is half.'])
})

test('a stream without a reason for its end was cut, and ends with an error in Google’s shape', async () => {
  const { cage, agent } = await openGoogle()
  cage.provider.does(streams([`data: ${JSON.stringify(reply([{ text: 'Hel' }]))}\n\n`]))
  const { text } = await agent.send('google', 'POST', `${STREAM}?alt=sse`, request())
  expect(text).toMatch(/data: \{"error":\{"code":502,[^\n]+"reason":"provider_reply_invalid"[^\n]+\n\n$/)
  expect(cage.rows()).toMatchObject([{ state: 'charged', estimated: 1 }])
})

test.each([
  ['tools that Google runs', { tools: [{ googleSearch: {} }] }],
  ['the same in the other spelling', { tools: [{ google_search: {} }] }],
  ['video as an answer', { generationConfig: { responseModalities: ['VIDEO'] } }],
])('%s have no price', async (_what, more) => {
  const { cage, agent } = await openGoogle()
  const answer = await agent.send('google', 'POST', PATH, request(more))
  expect(answer.status).toBe(403)
  expect(answer.json()).toMatchObject({
    error: { status: 'FAILED_PRECONDITION', details: [{ reason: 'price_unknown' }] },
  })
  expect(cage.provider.requests).toEqual([])
})

test.each(['cachedContents', 'models/gemini-2.5-flash:predict', 'files', 'tunedModels/x:generateContent'])(
  '%s is not sent',
  async (path) => {
    const { cage, agent } = await openGoogle()
    expect((await agent.send('google', 'POST', `/v1beta/${path}`, request())).status).toBe(403)
    expect(cage.provider.requests).toEqual([])
  },
)

test('a limit in snake case is read, and ours is written in the same field', async () => {
  const { cage, agent } = await openGoogle()
  cage.provider.does(sends(200, JSON_TYPE, reply([{ text: 'Hello.' }], END)))
  const limited = JSON.stringify({ contents: [], generation_config: { max_output_tokens: 50_000_000 } })
  await agent.send('google', 'POST', PATH, limited)
  const sent = JSON.parse(cage.provider.requests[0]!.body) as Record<string, Record<string, number>>
  expect(sent).not.toHaveProperty('generationConfig')
  expect(sent).not.toHaveProperty('model')
  expect(sent.generation_config!.max_output_tokens).toBeLessThan(50_000_000)
})

test('a field in both spellings is refused: only the provider knows which one counts', async () => {
  const { cage, agent } = await openGoogle()
  const both = JSON.stringify({ contents: [], generationConfig: { maxOutputTokens: 1 }, generation_config: {} })
  expect((await agent.send('google', 'POST', PATH, both)).status).toBe(400)
  expect(cage.provider.requests).toEqual([])
})

test('embeddings for another model than the path’s are refused', async () => {
  const { cage, agent } = await openGoogle()
  const path = '/v1beta/models/gemini-embedding-001:batchEmbedContents'
  const asking = (model: string) => JSON.stringify({ requests: [{ model, content: { parts: [{ text: 'Who?' }] } }] })
  expect((await agent.send('google', 'POST', path, asking('models/gemini-embedding-2'))).status).toBe(400)
  cage.provider.does(sends(200, JSON_TYPE, { embeddings: [{ values: [0.1] }] }))
  expect((await agent.send('google', 'POST', path, asking('models/gemini-embedding-001'))).status).toBe(200)
  expect(cage.rows()).toMatchObject([{ model: 'gemini-embedding-001', state: 'charged', estimated: 1 }])
})

test('audio for a model without an audio rate costs the input rate', async () => {
  const { cage, agent } = await openGoogle()
  const usageMetadata = {
    promptTokenCount: 1_010,
    candidatesTokenCount: 2,
    totalTokenCount: 1_012,
    promptTokensDetails: [
      { modality: 'TEXT', tokenCount: 10 },
      { modality: 'AUDIO', tokenCount: 1_000 },
    ],
  }
  cage.provider.does(sends(200, JSON_TYPE, { ...reply([{ text: 'Hello.' }], END), usageMetadata }))
  const parts = [{ text: 'Who?' }, { inlineData: { mimeType: 'audio/mp3', data: 'SUQz'.repeat(2_000) } }]
  const generationConfig = { maxOutputTokens: 100 }
  const path = '/v1beta/models/gemini-2.5-pro:generateContent'
  const answer = await agent.send('google', 'POST', path, JSON.stringify({ contents: [{ parts }], generationConfig }))
  expect(answer.status).toBe(200)
  // 1,010 × $1.25 + 2 × $10 a million
  expect(cage.rows()).toMatchObject([{ cost_nanos: 1_282_500, estimated: 0, code: null }])
})
