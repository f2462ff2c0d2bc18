/** Routes that only the configuration allows: priced before they are sent, charged on success, redacted by default. */
import { expect, test } from 'vitest'
import { pathMatches } from '../../src/dialects/routes.ts'
import { sends } from '../support/provider.ts'
import { openTestRuntime } from '../support/runtime.ts'

const ROUTES = {
  'POST /images/generations': { per_image_usd: '0.04' },
  'POST /audio/speech': { per_thousand_characters_usd: '0.015' },
  'POST /audio/transcriptions': { per_call_usd: '0.01', per_megabyte_usd: '0.50' },
  'GET /files/{id}/content': {},
}
const JSON_TYPE = { 'content-type': 'application/json' }
const open = (more: object = {}) => openTestRuntime({ provider: { routes: ROUTES }, ...more })

const form = (text: string) =>
  Buffer.from(
    `--edge\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--edge\r\n` +
      `content-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n${text}\r\n--edge--\r\n`,
  )
const FORM_TYPE = { 'content-type': 'multipart/form-data; boundary=edge' }

test('images are priced by their number, held before they are sent, and charged when they are there', async () => {
  const cage = await open()
  const agent = cage.addAgent({ limit: '0.10' })
  cage.provider.does(sends(200, JSON_TYPE, { created: 1, data: [{ url: 'https://images.example/1' }] }))
  const made = await agent.send(
    'openai',
    'POST',
    '/v1/images/generations',
    '{"model":"gpt-image-1","n":2,"prompt":"x"}',
  )
  expect([made.status, made.headers['x-iron-cage-cost-usd']]).toEqual([200, '0.08'])
  expect(agent.balance()).toMatchObject({ spent: '0.08', held: '0' })
  expect(cage.of('call.completed')[0]).toMatchObject({
    message: 'POST /images/generations · $0.08',
    data: { model: 'POST /images/generations', cost_usd: '0.08', estimated: false },
  })

  const tooMany = await agent.send('openai', 'POST', '/v1/images/generations', '{"n":1,"prompt":"x"}')
  expect([tooMany.status, cage.provider.requests.length]).toEqual([402, 1])
})

test.each([
  ['a text as number', '{"n":"2"}'],
  ['no image', '{"n":0}'],
  ['a part of an image', '{"n":0.5}'],
  ['more than anybody makes', '{"n":1e9}'],
])('a request for %s is refused, since its price cannot be read', async (_what, body) => {
  const cage = await open()
  const agent = cage.addAgent()
  const { status, json } = await agent.send('openai', 'POST', '/v1/images/generations', body)
  expect([status, json().error]).toMatchObject([400, { code: 'bad_request' }])
  expect([cage.provider.requests.length, cage.rows().length, agent.balance().held]).toEqual([0, 0, '0'])
})

test('a form is sent unchanged and priced by its size, and its transcription is redacted for any content type', async () => {
  const cage = await open()
  const agent = cage.addAgent()
  for (const type of ['application/json', 'text/plain', 'audio/mpeg', 'application/octet-stream']) {
    const said = 'Write to jane.doe@northwind-traders.com.'
    cage.provider.does(sends(200, { 'content-type': type }, type === 'application/json' ? { text: said } : said))
    const heard = await agent.send('openai', 'POST', '/v1/audio/transcriptions', form('RIFF'), FORM_TYPE)
    expect([type, heard.status, heard.text]).toEqual([type, 200, expect.stringContaining('[EMAIL_REDACTED]')])
    expect(heard.text).not.toContain('jane')
  }
  const sent = cage.provider.requests[0]!
  expect([sent.headers['content-type'], sent.body]).toEqual([FORM_TYPE['content-type'], form('RIFF').toString()])
  expect(sent.headers.authorization).toBe('Bearer sk-of-the-server')
  const bytes = form('RIFF').length
  expect(agent.balance().spent).toBe(String((4 * (10_000_000 + bytes * 500)) / 1e9))
  expect(cage.of('pii.found')).toHaveLength(4)
})

test('audio passes unchanged, and a reply of an unknown content type is withheld but charged', async () => {
  const cage = await open()
  const agent = cage.addAgent()
  const sound = Buffer.from([0xff, 0xfb, 0x90, 0x00])
  const speak = () => agent.send('openai', 'POST', '/v1/audio/speech', '{"input":"Hello, world","voice":"alloy"}')
  const plays = (type: string) =>
    cage.provider.does((response) => void response.writeHead(200, { 'content-type': type }).end(sound))
  plays('audio/mpeg')
  expect(await speak()).toMatchObject({
    status: 200,
    headers: { 'content-type': 'audio/mpeg', 'x-iron-cage-cost-usd': '0.00018' },
  })
  plays('application/zip')
  expect((await speak()).json().error).toMatchObject({ code: 'redaction_failed' })
  expect(agent.balance()).toMatchObject({ spent: '0.00036', held: '0' })
})

test('a refusal of the provider costs nothing; a connection that breaks after sending is charged', async () => {
  const cage = await open()
  const agent = cage.addAgent()
  const draw = () => agent.send('openai', 'POST', '/v1/images/generations', '{"prompt":"x"}')
  cage.provider.does(sends(400, JSON_TYPE, { error: { message: 'no, ask bob@northwind-traders.com' } }))
  const refused = await draw()
  expect([refused.status, agent.balance().spent]).toEqual([400, '0'])
  expect(refused.text).toContain('[EMAIL_REDACTED]')
  cage.provider.does((response) => void response.socket?.resetAndDestroy())
  expect((await draw()).status).toBe(502)
  expect(agent.balance()).toMatchObject({ spent: '0.04', held: '0' })
  expect(cage.rows().at(-1)).toMatchObject({ state: 'charged', estimated: 1, code: 'provider_unreachable' })
})

test('a form is bounded, and refused where requests must be redacted', async () => {
  const small = await open({ server: { max_body_bytes: 1024 } })
  const large = await small
    .addAgent()
    .send('openai', 'POST', '/v1/audio/transcriptions', form('x'.repeat(2000)), FORM_TYPE)
  expect(large.status).toBe(413)
  const strict = await open({ safety: { scope: ['requests', 'replies'] } })
  const heard = await strict.addAgent().send('openai', 'POST', '/v1/audio/transcriptions', form('x'), FORM_TYPE)
  expect(heard.json().error).toMatchObject({ message: expect.stringContaining('a form cannot be redacted') })
  expect(strict.provider.requests).toHaveLength(0)
})

test('a slot takes one id; every other route is an event whose hint names the key to set', async () => {
  const cage = await open()
  const agent = cage.addAgent()
  cage.provider.does(sends(200, { 'content-type': 'application/jsonl' }, '{"a":1}\n'))
  expect((await agent.send('openai', 'GET', '/v1/files/file-1/content')).text).toBe('{"a":1}\n')
  for (const [method, path, key] of [
    ['GET', '/v1/files', 'GET /files'],
    ['DELETE', '/v1/files/file-1a2b', 'DELETE /files/{id}'],
    ['GET', '/v1/files/a/b/content', 'GET /files/a/b/content'],
  ] as const) {
    const other = cage.addAgent()
    const refused = await other.send('openai', method, path)
    const hint = `to allow it, add "${key}" with its price under "providers.openai.routes" in the configuration`
    expect(refused.json().error).toMatchObject({ code: 'price_unknown', message: expect.stringContaining(hint) })
    expect(cage.of('call.refused').at(-1)).toMatchObject({ agent_id: other.id, data: { code: 'price_unknown', hint } })
  }
  expect(cage.provider.requests).toHaveLength(1)
})

test('images of the public list cost the tokens that they are counted as; a price of the configuration replaces that', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent({ limit: '1' })
  const generate = (body: object) =>
    agent.send(
      'openai',
      'POST',
      '/v1/images/generations',
      JSON.stringify({ prompt: 'A cat of jane@corp.com', ...body }),
    )
  const details = { text_tokens: 20, image_tokens: 0 }
  const usage = { input_tokens: 20, input_tokens_details: details, output_tokens: 2_112, total_tokens: 2_132 }
  const picture = `iVBORw0KGgo${'A'.repeat(2_000_000)}`
  const made = { b64_json: picture, revised_prompt: 'A cat of jane.roe@northwind-traders.com' }
  cage.provider.does(sends(200, JSON_TYPE, { created: 1, data: [made, made], usage }))
  const reply = await generate({ model: 'gpt-image-1', n: 2 })
  expect([reply.status, reply.headers['x-iron-cage-cost-usd']]).toEqual([200, '0.08468'])
  expect(reply.text.replaceAll(picture, 'picture')).toContain('"b64_json":"picture","revised_prompt":"A cat of [EMAIL_')
  expect(cage.rows()).toMatchObject([{ model: 'gpt-image-1', cost_nanos: 84_680_000, estimated: 0 }])

  for (const [body, facts] of [
    [{ model: 'dall-e-3' }, { model: 'dall-e-3' }],
    [{ model: 'gpt-image-2', size: '3840x2160' }, { model: 'gpt-image-2' }],
    [{ model: 'gpt-image-1', stream: true, partial_images: 3 }, { field: 'stream' }],
  ] as const) {
    const refused = await generate(body)
    expect([refused.status, refused.json().error]).toMatchObject([403, { code: 'price_unknown', facts }])
  }
  expect((await generate({ model: 'gpt-image-1', n: 4 })).status).toBe(402)
  expect(cage.provider.requests).toHaveLength(1)
})

test('the instructions for a voice are read and priced like its input', async () => {
  const cage = await open()
  const agent = cage.addAgent()
  cage.provider.does(sends(200, { 'content-type': 'audio/mpeg' }, 'ID3'))
  const body = JSON.stringify({ model: 'tts', input: 'x'.repeat(400), instructions: 'y'.repeat(600) })
  expect((await agent.send('openai', 'POST', '/v1/audio/speech', body)).status).toBe(200)
  expect(agent.balance().spent).toBe('0.015')
})

test('a dot in a route is a dot', () => {
  expect(pathMatches('/a.b', '/a.b')).toBe(true)
  expect(pathMatches('/a.b', '/aXb')).toBe(false)
  expect(pathMatches('/a.b/{id}(x)', '/a.b/c(x)')).toBe(true)
})
