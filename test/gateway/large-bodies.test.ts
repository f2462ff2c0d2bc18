/** Large requests and replies go the same way as small ones, in slices. */
import { once } from 'node:events'
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import { expect, test, vi } from 'vitest'
import { answer, chatFrames, messageFrames, sends, streams } from '../support/provider.ts'
import { openTestRuntime } from '../support/runtime.ts'

const LONG = 'Grüße \\ "漢字" 🎉 '.repeat(60_000)
const scope = ['replies', 'tool_arguments', 'logs', 'requests']

test('a large request is sent as its client wrote it', async () => {
  const cage = await openTestRuntime()
  const body = {
    model: 'penny',
    max_tokens: 4,
    seed: 1,
    messages: [{ role: 'user', content: LONG }],
    'x y': [1.5, null],
  }
  expect((await cage.addAgent().chat(JSON.stringify(body))).status).toBe(200)
  const { messages, ...others } = JSON.parse(cage.provider.requests[0]!.body)
  expect(messages[0].content === LONG).toBe(true)
  expect(others).toMatchObject({ model: 'penny', seed: 1, 'x y': [1.5, null] })
})

test('a large request is redacted according to the policy', async () => {
  const cage = await openTestRuntime({ safety: { scope } })
  const people = Array.from({ length: 20_000 }, (_, index) => `person${index}@customers-of-acme.com`).join(' ')
  const messages = [{ role: 'user', content: `${LONG}${people}` }]
  expect((await cage.addAgent().chat({ messages })).status).toBe(200)
  const [sent] = JSON.parse(cage.provider.requests[0]!.body).messages
  expect(sent.content === LONG + Array(20_000).fill('[EMAIL_REDACTED]').join(' ')).toBe(true)
  expect(cage.of('pii.found')).toMatchObject([{ data: { place: 'request', count: 20_000 } }])
})

test.each(['redact', 'warn', 'block'])('a large reply is redacted like a small one (%s)', async (mode) => {
  const cage = await openTestRuntime({ safety: { mode } })
  const people = Array.from({ length: 1_000 }, (_, index) => `person${index}@customers-of-acme.com`).join(' ')
  cage.provider.does(answer({ text: LONG + people }))
  const reply = await cage.addAgent().chat()
  const events = cage.of('pii.found')
  expect(events).toMatchObject([{ data: { action: mode, count: 1_000 } }])
  if (mode === 'block') return expect(reply.status).toBe(422)
  const { choices } = reply.json() as { choices: { message: { content: string } }[] }
  const shown = mode === 'warn' ? people : Array(1_000).fill('[EMAIL_REDACTED]').join(' ')
  expect(choices[0]!.message.content === LONG + shown).toBe(true)
  expect(reply.headers['x-iron-cage-redactions']).toBe('1000')
})

test('a request with too many parts is refused before it is held or sent, and so is such a reply', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const parts = `[${Array(300_000).fill('[]').join()}]`
  const refused = await agent.chat(`{"model":"penny","max_tokens":4,"messages":${parts}}`)
  expect([refused.status, (refused.json().error as { code: string }).code]).toEqual([413, 'body_too_large'])
  expect(cage.provider.requests).toEqual([])
  expect(cage.rows()).toEqual([])
  cage.provider.does(sends(200, { 'content-type': 'application/json' }, `{"choices":${parts}}`))
  const none = await agent.chat()
  expect([none.status, (none.json().error as { code: string }).code], none.text).toEqual([502, 'reply_too_large'])
})

const codeOf = (reply: { json(): unknown }) => (reply.json() as { error: { code: string } }).error.code
const JSON_TYPE = { 'content-type': 'application/json' }
const EMAIL = 'jane.canary@northwind-traders.com'
const PAD = 'x '.repeat(200_000)

test('a token of ours in a large request reaches no provider, even if it is written with escapes', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const escaped = [...agent.token].map((letter) => `\\u00${letter.charCodeAt(0).toString(16)}`).join('')
  for (const token of [agent.token, escaped]) {
    const content = `"${PAD}${token}"`
    expect(
      (await agent.chat(`{"model":"penny","max_tokens":4,"messages":[{"role":"user","content":${content}}]}`)).status,
    ).toBe(200)
  }
  expect(cage.provider.requests).toHaveLength(2)
  for (const { body } of cage.provider.requests) {
    expect(JSON.stringify(JSON.parse(body)).includes(agent.token.slice(5))).toBe(false)
    expect(body.includes('[SECRET_REDACTED]')).toBe(true)
  }
})

test('a large error and a large free answer are redacted', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const refusal = JSON.stringify({ error: { message: `${PAD}write to ${EMAIL}` } })
  cage.provider.does(sends(400, JSON_TYPE, refusal))
  const refused = await agent.chat()
  expect([refused.status, refused.text === refusal.replace(EMAIL, '[EMAIL_REDACTED]')]).toEqual([400, true])
  cage.provider.does(sends(400, { 'content-type': 'text/html' }, PAD + EMAIL))
  expect((await agent.chat()).text === `${PAD}[EMAIL_REDACTED]`).toBe(true)
  cage.provider.does(sends(200, JSON_TYPE, JSON.stringify({ data: [{ id: PAD + EMAIL }] })))
  const models = await agent.send('openai', 'GET', '/v1/models')
  expect([models.status, models.text.includes(`${PAD}[EMAIL_REDACTED]`)]).toEqual([200, true])
  expect(cage.of('pii.found')).toHaveLength(3)
})

test('another model answers a large request that the first one could not', async () => {
  const cage = await openTestRuntime({ others: { openai: { fallback: [{ provider: 'openai', model: 'dime' }] } } })
  cage.provider.doesOnce(sends(503, JSON_TYPE, '{"error":{"message":"overloaded"}}'))
  const reply = await cage.addAgent().chat({ messages: [{ role: 'user', content: LONG }] })
  expect(reply.status, reply.text).toBe(200)
  expect(cage.provider.requests.map(({ body }) => JSON.parse(body).model)).toEqual(['penny', 'dime'])
  expect(cage.provider.requests.every(({ body }) => JSON.parse(body).messages[0].content === LONG)).toBe(true)
})

test('a large conversation that is sent again reports only the new findings', async () => {
  const cage = await openTestRuntime({ safety: { scope } })
  const agent = cage.addAgent()
  const people = Array.from({ length: 3_000 }, (_, index) => `person${index}@customers-of-acme.com`).join(' ')
  const send = (text: string) => agent.chat({ messages: [{ role: 'user', content: `${text} ${PAD}${people}` }] })
  await send('Hello.')
  await send('Hello.')
  await send(`I am ${EMAIL}.`)
  expect(cage.of('pii.found').map(({ data }) => data.count ?? 1)).toEqual([3_000, 1])
})

const framesOf = { openai: chatFrames, anthropic: messageFrames }
const textOfFrames = (frames: string): string =>
  frames
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice(6)))
    .map(({ choices, delta }) => choices?.[0]?.delta?.content ?? delta?.text ?? '')
    .join('')

test.each(['openai', 'anthropic'] as const)(
  'large frames of a stream are redacted within, at both ends and over their borders (%s)',
  async (dialect) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const said = [
      `${EMAIL} ${PAD}jane.canary@north`,
      `wind-traders.com ${PAD}${EMAIL}, ${PAD}ceo@acme-`,
      'corporation.com',
    ]
    cage.provider.does(streams(framesOf[dialect]({ text: said })))
    const reply = await agent.call(dialect, { stream: true })
    const expected = said.join('').replaceAll(/\S+@\S+\.com/g, '[EMAIL_REDACTED]')
    expect(textOfFrames(reply.text) === expected).toBe(true)
    expect(cage.of('pii.found').reduce((sum, { data }) => sum + (data.count ?? 1), 0)).toBeGreaterThanOrEqual(2)
  },
)

test.each([
  [
    'a private key',
    `-----BEGIN RSA PRIVATE KEY-----\n${'MIIEabCD12'.repeat(40)}`,
    `${'efGH34Zz'.repeat(40)}\n-----END RSA PRIVATE KEY-----`,
  ],
  ['a key', 'sk-proj-abCD12efGH34ijKL56mnOP78', 'qrST90uvWX12yzAB34cdEF56'],
  [
    'a private key that is longer than the overlap',
    `-----BEGIN PRIVATE KEY-----\n${'MIIEabCD12'.repeat(4_000)}`,
    `${'efGH34Zz'.repeat(40)}\n-----END PRIVATE KEY-----`,
  ],
  [
    'a web token that is longer than the overlap',
    `${Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url')}.${'eyJhbGciOiAi'.repeat(4_000)}`,
    `${'efGH34Zz'.repeat(40)}.qrST90uvWX12yzAB34cdEF56`,
  ],
])('%s that is cut at the end of a large frame is redacted to its end', async (_what, begun, rest) => {
  const cage = await openTestRuntime()
  cage.provider.does(streams(chatFrames({ text: [`Here: ${PAD}${begun}`, `${rest} and ${PAD}more.`] })))
  const reply = await cage.addAgent().chat({ stream: true })
  expect(textOfFrames(reply.text) === `Here: ${PAD}[SECRET_REDACTED] and ${PAD}more.`).toBe(true)
})

test('an image in a large frame is passed on unchanged', async () => {
  const cage = await openTestRuntime()
  const url = `data:image/png;base64,iVBORw0KGgo${'c3NuIDUzOS00OC0wMTIw'.repeat(40_000)}`
  const images = [{ type: 'image_url', index: 0, image_url: { url } }]
  const frame = JSON.stringify({ choices: [{ index: 0, delta: { content: 'Here it is.', images } }] })
  cage.provider.does(streams(`data: ${frame}\n\ndata: [DONE]\n\n`))
  expect((await cage.addAgent().chat({ stream: true })).text.includes(`"${url}"`)).toBe(true)
})

test('a large frame without usage is charged by its whole length', async () => {
  const cage = await openTestRuntime()
  cage.provider.does(streams(chatFrames({ text: ['word '.repeat(200_000)], usage: undefined })))
  await cage.addAgent({ limit: '1000' }).chat({ stream: true, max_tokens: 500_000 })
  const [row] = cage.rows()
  expect(row).toMatchObject({ state: 'charged', estimated: 1 })
  expect(JSON.parse(row!.usage).output).toBeGreaterThan(240_000)
})

test('a finding in a large frame blocks the stream under a blocking policy', async () => {
  const cage = await openTestRuntime({ safety: { mode: 'block' } })
  cage.provider.does(streams(chatFrames({ text: [PAD + EMAIL + PAD] })))
  const blocked = await cage.addAgent().chat({ stream: true })
  expect(blocked.text).toContain('pii_blocked')
  expect(blocked.text).not.toContain('canary')
})

test('oversized replies to one agent do not open the circuit for the others', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  cage.provider.does(sends(200, JSON_TYPE, `{"choices":[${Array(300_000).fill('[]').join()}]}`))
  for (let time = 0; time < 6; time++) expect(codeOf(await agent.chat())).toBe('reply_too_large')
  cage.provider.does(streams(`data: "${'x'.repeat(5_000_000)}"\n\n`))
  for (let time = 0; time < 6; time++) expect((await agent.chat({ stream: true })).text).toContain('reply_too_large')
  cage.provider.does(answer())
  expect((await cage.addAgent().chat()).status).toBe(200)
})

const WORDS = 'Grass grows. '.repeat(2_000)

test.each([
  ['parts', Array(500_000).fill([])],
  ['texts', Array.from({ length: 5_000 }, (_, index) => `word ${index}`)],
  ['characters outside its longest texts', Array.from({ length: 25 }, (_, index) => `${index} ${WORDS}`)],
  ['characters in short texts', Array.from({ length: 200 }, (_, index) => `${index} ${WORDS.slice(0, 1_900)}`)],
])('a stream with a frame of too many %s breaks', async (_what, more) => {
  const cage = await openTestRuntime()
  const frame = JSON.stringify({ choices: [{ index: 0, delta: { content: WORDS }, more }] })
  cage.provider.does(streams(`data: ${frame}\n\ndata: [DONE]\n\n`))
  const broken = await cage.addAgent().chat({ stream: true })
  expect(broken.text).toContain('reply_too_large')
  expect(broken.text).not.toContain('[DONE]')
})

test('a large frame of many texts that are neither short nor the longest is redacted, at their borders too', async () => {
  const cage = await openTestRuntime()
  const said = Array.from({ length: 16 }, (_, index) => `${index}: ${EMAIL} ${WORDS}ceo@acme-`)
  const frame = (content: string[]) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`
  const next = said.map((text) => `corporation.com and ${text.slice(0, 4)}`)
  cage.provider.does(streams(`${frame(said)}${frame(next)}data: [DONE]\n\n`))
  const { text } = await cage.addAgent().chat({ stream: true })
  expect(text).toContain('[DONE]')
  expect(text).not.toMatch(/canary|acme|corporation/)
  expect(text.match(/Grass grows\./g)).toHaveLength(16 * 2_000)
})

test('one agent that sends many large bodies at once is refused one, and finds room when the others are gone', async () => {
  const cage = await openTestRuntime()
  const { openai } = cage.addAgent()
  const url = `${openai}/chat/completions`
  const unfinished = (): ClientRequest => {
    const sending = httpRequest(url, { method: 'POST' }).on('error', () => undefined)
    sending.write(Buffer.alloc(31 * 1024 * 1024, ' '))
    return sending
  }
  const uploads = Array.from({ length: 5 }, unfinished)
  const [refused] = (await Promise.race(uploads.map((upload) => once(upload, 'response')))) as [IncomingMessage]
  expect([refused.statusCode, refused.headers['retry-after']]).toEqual([503, '1'])
  const { error } = (await json(refused)) as { error: { code: string; message: string } }
  expect(error).toMatchObject({ code: 'too_many_streams', message: expect.stringContaining('memory for large bodies') })
  for (const upload of uploads) upload.destroy()
  const again = () => fetch(url, { method: 'POST', body: ' '.repeat(31 * 1024 * 1024) })
  await vi.waitFor(async () => expect((await again()).status).toBe(400), 30_000)
})

test('a client that leaves while limits are written into its large request holds no money any more', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const leaving = new AbortController()
  const content = 'x '.repeat(4_000_000)
  const reply = agent.open({ max_tokens: undefined, messages: [{ role: 'user', content }] }, leaving.signal)
  await vi.waitFor(() => expect(cage.rows()).toMatchObject([{ state: 'held' }]), { interval: 1, timeout: 20_000 })
  leaving.abort()
  await expect(reply).rejects.toThrow()
  await vi.waitFor(() => expect(cage.rows()).toMatchObject([{ state: 'released', code: 'client_gone' }]))
})
