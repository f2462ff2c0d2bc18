/** No provider and no service sees a token of ours, wherever a client puts it; the rest of the text arrives. */
import { expect, test } from 'vitest'
import { sends } from '../../support/provider.ts'
import { openTestRuntime, send, type TestRuntime } from '../../support/runtime.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const polite = { model: 'penny', max_tokens: 4, messages: [{ role: 'user', content: 'Say hello.' }] }

async function openCage(): Promise<{ cage: TestRuntime; tokens: [string, string][] }> {
  const cage = await openTestRuntime({
    others: { groq: { api_key_secret: 'GROQ_API_KEY' } },
    environment: { GROQ_API_KEY: 'gsk-of-the-server' },
  })
  const { access_token: jwt, refresh_token: refresh } = await cage.login()
  const { token: api } = (await cage.post('/api/tokens', { name: 'a client', budget_usd: '5' }, jwt)).json()
  const { ticket } = (await cage.post('/api/auth/ws-ticket', {}, jwt)).json()
  const agent = cage.addAgent()
  const { token: link } = (await cage.post(`/api/agents/${agent.id}/report/links`, {}, jwt)).json()
  return {
    cage,
    tokens: [
      ['run', agent.token],
      ['api', api as string],
      ['jwt', jwt],
      ['refresh', refresh],
      ['ticket', ticket as string],
      ['link', link as string],
    ],
  }
}

/** Every place in which a client may have a key, and others. */
const placesOf = (token: string): [place: string, query: string, headers: Record<string, string>, body: object][] => [
  ['the bearer', '', { authorization: `Bearer ${token}` }, {}],
  ['the other key', '', { 'x-api-key': token }, {}],
  ['a key and the other key', '', { authorization: `Bearer ${token}`, 'x-api-key': token }, {}],
  ['a basic authorization', '', { authorization: `Basic ${Buffer.from(`u:${token}`).toString('base64')}` }, {}],
  ['a key of another service', '', { 'api-key': token, 'x-goog-api-key': token, 'openai-project': `p-${token}` }, {}],
  ['the query', `?a=1&key=${token}&b=2`, {}, {}],
  ['the query, encoded', `?key=${token.replaceAll('_', '%5F')}`, {}, {}],
  ['a message', '', {}, { messages: [{ role: 'user', content: `My key is ${token}, and yours?` }] }],
  ['a field', '', {}, { user: token, metadata: { [token]: `x${token}` }, api_key: token }],
]

test('a provider never gets a token, wherever the client puts it', async () => {
  const { cage, tokens } = await openCage()
  const agent = cage.addAgent()
  for (const [kind, token] of tokens) {
    for (const [place, query, headers, body] of placesOf(token)) {
      for (const [path, provider] of [
        ['openai/v1/chat/completions', '/v1/chat/completions'],
        ['groq/v1/chat/completions', '/groq/v1/chat/completions'],
        ['anthropic/v1/messages', '/v1/messages'],
        ['openai/v1/moderations', '/v1/moderations'],
      ] as const) {
        const before = cage.provider.requests.length
        const { status, text } = await send(`${cage.url}/gateway/${agent.token}/${path}${query}`, {
          method: 'POST',
          headers: { ...JSON_TYPE, ...headers },
          body: JSON.stringify({ ...polite, ...body }),
        })
        const [request] = cage.provider.requests.slice(before)
        expect(request?.url.split('?')[0], `${kind} in ${place}: ${text}`).toBe(provider)
        expect(JSON.stringify(request), `${kind} in ${place} of ${path} (${status})`).not.toContain(token.slice(-20))
        if (place === 'the query') expect(request!.url).toBe(`${provider}?a=1&b=2`)
        if (place === 'a message') expect(request!.body).toContain('My key is [SECRET_REDACTED], and yours?')
      }
    }
  }
  expect(cage.provider.requests.length).toBeGreaterThan(100)
  for (const { headers } of cage.provider.requests) {
    expect(headers.authorization ?? `Bearer ${headers['x-api-key']}`).toMatch(/^Bearer (sk|sk-ant|gsk)-of-the-server$/)
  }
})

test('a token that a request held is an incident, once', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  for (const _time of [1, 2]) await agent.chat({ messages: [{ role: 'user', content: `key ${agent.token}` }] })
  expect(cage.of('pii.found').map(({ data }) => [data.pii_type, data.place, data.action])).toEqual([
    ['secret', 'request', 'redact'],
  ])
})

test('a token whose letters are escapes of JSON is found too', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const escaped = agent.token.replace('run', '\\u0072un')
  const body = JSON.stringify({ ...polite, messages: [{ role: 'user', content: 'key TOKEN' }] }).replace(
    'TOKEN',
    escaped,
  )
  expect(JSON.parse(body).messages[0].content).toBe(`key ${agent.token}`)
  await agent.chat(body)
  expect(cage.provider.requests[0]!.body).toContain('key [SECRET_REDACTED]')
})

test('a path with a token in it goes nowhere', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const { status, text } = await agent.send('openai', 'GET', `/v1/models/${agent.token}`)
  expect([status, text.includes(agent.token), cage.provider.requests]).toEqual([400, false, []])
})

test('a service gets no token in its body or its query', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  cage.provider.does(sends(200, JSON_TYPE, {}))
  const inside = await openTestRuntime({ services: { crm: { base_url: cage.provider.url } } })
  const other = inside.addAgent()
  const { status } = await other.send(
    'services/crm',
    'POST',
    `/people?key=${agent.token}&a=1`,
    `{"key":"${agent.token}"}`,
  )
  expect(status).toBe(200)
  expect(cage.provider.requests).toMatchObject([{ url: '/people?a=1', body: '{"key":"[SECRET_REDACTED]"}' }])
})
