/** Tags of agents and tokens, and the costs that reports group by them. */
import { expect, test } from 'vitest'
import type { CostReport } from '../../src/budget/report.ts'
import { parseTags } from '../../src/config/tags.ts'
import type { CageError } from '../../src/core/errors.ts'
import { answer } from '../support/provider.ts'
import { openTestRuntime, send } from '../support/runtime.ts'

const CHAT = JSON.stringify({ model: 'plain', max_tokens: 50, messages: [{ role: 'user', content: 'x' }] })

test('a cost counts toward each tag of its agent, and the tags of the configuration are those of a token without any', async () => {
  const cage = await openTestRuntime({ agent: { tags: { customer: 'acme' } } })
  cage.provider.does(answer({ usage: { prompt_tokens: 10, completion_tokens: 3 } }))
  const { access_token: admin } = await cage.login()
  const call = async (tags?: object) => {
    const { token } = (await cage.post('/api/tokens', { name: 'client', budget_usd: '5', tags }, admin)).json() as {
      token: string
    }
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const reply = await send(`${cage.url}/gateway/openai/v1/chat/completions`, { method: 'POST', headers, body: CHAT })
    expect(reply.status).toBe(200)
  }
  await call()
  await call({ customer: 'acme', project: 'search' })
  await call({ customer: 'Bücher Co' })
  await call({})
  const { costs } = (await cage.get('/api/report', admin)).json() as { costs: CostReport }
  expect(costs.spent_usd).toBe('0.00022')
  expect(costs.by_tag).toEqual([
    { name: 'customer=acme', calls: 2, cost_usd: '0.00011' },
    { name: 'customer=Bücher Co', calls: 1, cost_usd: '0.000055' },
    { name: 'project=search', calls: 1, cost_usd: '0.000055' },
  ])
  const agents = Object.values(cage.runtime.state.read().agents)
  expect(agents.map(({ tags }) => tags)).toEqual([
    { customer: 'acme' },
    { customer: 'acme', project: 'search' },
    { customer: 'Bücher Co' },
    undefined,
  ])
  const html = await cage.get(`/api/agents/${agents[1]!.id}/report?format=html`, admin)
  expect(html.text).toContain('customer=acme, project=search')
})

const ELEVEN = Object.fromEntries(Array.from({ length: 11 }, (_, at) => [`t${at}`, 'x']))

const REFUSED: readonly (readonly [what: string, tags: object, role?: string])[] = [
  ['a name in capitals', { Customer: 'acme' }],
  ['a long name', { ['c'.repeat(41)]: 'acme' }],
  ['an empty value', { customer: '' }],
  ['a long value', { customer: 'a'.repeat(81) }],
  ['a line end in a value', { customer: 'acme\nadmin' }],
  ['markup', { customer: 'a<b>' }],
  ['more than ten', ELEVEN],
  ['personal data', { customer: '212-555-0123' }],
  ['a role that makes no calls', { customer: 'acme' }, 'viewer'],
]

test('tags that are not short plain names and values of a caller are refused', async () => {
  const cage = await openTestRuntime()
  const { access_token: admin } = await cage.login()
  for (const [what, tags, role = 'agent'] of REFUSED) {
    const reply = await cage.post('/api/tokens', { name: 'client', tags, role }, admin)
    expect([what, reply.status, reply.json()]).toMatchObject([what, 400, { error: { code: 'bad_request' } }])
  }
  expect(cage.runtime.state.read().agents).toEqual({})
})

test('tags on the command line are names and values, each once', () => {
  expect(parseTags('customer=acme,project=a:b')).toEqual({ customer: 'acme', project: 'a:b' })
  const wrong = (text: string) => {
    try {
      return parseTags(text)
    } catch (error) {
      return (error as CageError).message
    }
  }
  expect(wrong('customer')).toBe(
    '--tag: expected a value of up to 80 letters, digits, spaces or ". _ : / + -" that begins with a letter or digit',
  )
  expect(wrong('=acme')).toContain('expected a name of up to 40 lowercase letters')
  expect(wrong('a=1,a=2')).toBe('--tag: "a" was given more than once')
})
