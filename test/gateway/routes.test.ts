/** Which paths are called, which are passed on, and which are refused; and that each call has its row. */
import { describe, expect, test } from 'vitest'
import { openTestRuntime } from '../support/runtime.ts'

const CHAT = JSON.stringify({ model: 'penny', max_tokens: 5, messages: [] })
const codeOf = (reply: { json(): unknown }) => (reply.json() as { error: { code: string } }).error.code

describe('a path', () => {
  test.each([
    'GET /models/..',
    'GET /models/.',
    'GET /models/..%2F..%2Fv1%2Ffiles',
    'GET /models/%2e%2e%2f%2e%2e%2ffiles',
    'GET /models/%252e%252e%252ffiles',
    'GET /models/..%5c..%5cfiles',
    'GET /models/x\\files',
    'GET /models/a/../../files',
    'GET /models/%zz',
    'DELETE /responses/..%2Ffiles%2Ffile-abc',
    'DELETE /responses/..;/files/file-abc',
    'POST /responses/..%2F..%2Fbatches%2Fb/cancel',
    'POST /v1/../chat/completions',
  ])('a path that leads out of itself is refused, and nothing is sent: %s', async (line) => {
    const cage = await openTestRuntime()
    const [method, path] = line.split(' ') as [string, string]
    const url = `${cage.url}/gateway/${cage.addAgent().token}/openai`
    const reply = await rawRequest(url, method, path)
    expect([reply.status, JSON.parse(reply.text).error.code]).toEqual([400, 'bad_request'])
    expect(cage.provider.requests).toEqual([])
    expect(cage.uncharged()).toMatchObject([{ code: 'bad_request', cost_nanos: 0, status: 400 }])
  })

  test.each([
    'GET /models/a%2Fb%2Fc%2Fd%2Fe%2Ff',
    'GET /models/a b',
    'GET /responses/a/b',
    'GET /responses/a%2Fb',
    'POST /responses/resp_1',
    'GET /files',
    'DELETE /models/x',
    'POST /chat%2Fcompletions',
    'POST /embeddings/x',
    'GET /',
  ])('a path that is on no list is refused, and nothing is sent: %s', async (line) => {
    const cage = await openTestRuntime()
    const [method, path] = line.split(/ (.*)/) as [string, string]
    const url = `${cage.url}/gateway/${cage.addAgent().token}/openai`
    const reply = await rawRequest(url, method, path.replace(' ', '%20'))
    expect([reply.status, JSON.parse(reply.text).error.code]).toEqual([403, 'price_unknown'])
    expect(cage.provider.requests).toEqual([])
  })

  test.each([
    ['/chat/completions', '/v1/chat/completions'],
    ['/v1/chat/completions', '/v1/chat/completions'],
    ['//v1//chat//completions', '/v1/chat/completions'],
    ['/v1/v1/chat/completions', '/v1/chat/completions'],
    ['/openai/v1/chat/completions', '/v1/chat/completions'],
    ['/api/v1/chat/completions?a=b', '/v1/chat/completions?a=b'],
  ])('a path is sent in one form: %s', async (path, sent) => {
    const cage = await openTestRuntime()
    expect((await cage.addAgent().send('openai', 'POST', path, CHAT)).status).toBe(200)
    expect(cage.provider.requests.map(({ url }) => url)).toEqual([sent])
  })

  test.each([
    'GET /models/gpt-4o',
    'GET /models/org/model:free',
    'GET /models/org%2Fmodel',
    'GET /models/ft:gpt-4o-2024-08-06:acme::x',
    'GET /responses/resp_1',
    'DELETE /responses/resp_1',
    'POST /responses/resp_1/cancel',
  ])('a path with a model or an id in its slot is passed on as it came: %s', async (line) => {
    const cage = await openTestRuntime()
    const [method, path] = line.split(' ') as [string, string]
    expect((await cage.addAgent().send('openai', method, path)).status).toBe(200)
    expect(cage.provider.requests.map(({ url }) => url)).toEqual([`/v1${path}`])
  })
})

describe('a route that is free', () => {
  test('a route that is free has a row', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '0' })
    expect((await agent.send('openai', 'GET', '/models')).status).toBe(200)
    expect(cage.uncharged()).toMatchObject([{ agent_id: agent.id, code: 'unmetered', status: 200, cost_nanos: 0 }])
  })

  test('a route that is free at the vendor is not free at others, which may charge for it', async () => {
    const cage = await openTestRuntime({ others: { mistral: {} } })
    const agent = cage.addAgent()
    const body = JSON.stringify({ input: 'Hi' })
    expect((await agent.send('openai', 'POST', '/moderations', body)).status).toBe(200)
    expect(codeOf(await agent.send('mistral', 'POST', '/moderations', body))).toBe('price_unknown')
    expect(cage.provider.requests).toHaveLength(1)
  })

  test('a free route is refused to a paused agent, and so is a charge', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    cage.runtime.state.record({
      type: 'agent.paused',
      level: 'INFO',
      agent_id: agent.id,
      message: 'paused',
      data: { by: 'test' },
    })
    // Calls that were on their way wait a second; those of a client with its own key do not.
    cage.runtime.state.read().agents[agent.id]!.paused_at = '2026-01-01T00:00:00.000Z'
    expect(codeOf(await agent.send('openai', 'GET', '/models'))).toBe('agent_paused')
    const charge = await cage.post('/api/run/charges', { service: 'maps', cost_usd: '0.01' }, agent.token)
    expect([charge.status, codeOf(charge)]).toEqual([503, 'agent_paused'])
    expect([cage.provider.requests, cage.rows()]).toEqual([[], []])
  })
})

test('refusals of one kind share a row, which counts them, and an event', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  for (let call = 0; call < 20; call++) await agent.chat({ model: `nobody-${call}` })
  await agent.send('openai', 'GET', '/files')
  expect(cage.uncharged()).toMatchObject([{ code: 'price_unknown', status: 403, model: 'nobody-0' }])
  expect(cage.of('call.refused')).toMatchObject([{ level: 'WARN', agent_id: agent.id, data: { calls: 1 } }])
  await cage.runtime.close('the test looks at what is left')
  expect(cage.of('call.refused').at(-1)).toMatchObject({ data: { calls: 21 } })
  expect(cage.uncharged()).toMatchObject([{ usage: '{"calls":21}' }])
})

/** As it is: no client here would send such a path. */
async function rawRequest(url: string, method: string, path: string): Promise<{ status: number; text: string }> {
  const { hostname, port, pathname } = new URL(url)
  const { request } = await import('node:http')
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, method, path: pathname + path }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    sent.on('error', reject)
    sent.end()
  })
}
