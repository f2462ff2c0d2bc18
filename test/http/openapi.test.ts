import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { api } from '../../src/api/server.ts'
import { ERRORS } from '../../src/core/errors.ts'
import { check } from '../../src/http/body.ts'
import { openApiDocument } from '../../src/http/openapi.ts'
import { pathsOf, type Route, routesOf } from '../../src/http/route.ts'
import { listRoutes, openDeps } from '../support/deps.ts'
import { type ApiDocument, compareWith } from '../support/documented.ts'
import { openTestRuntime, type Reply } from '../support/runtime.ts'

const MASTER_KEY = 'q7m1Zr0WkGk2nX4t8vB3yD6fH9jL5pS0'

interface Operation {
  summary: string
  description?: string
  operationId: string
  'x-role': string
  security: object[]
  parameters?: { name: string; in: string; required: boolean; schema: object }[]
  requestBody?: { content: Record<string, { schema: object }> }
  responses: Record<string, { content?: Record<string, { schema: { properties?: object } }> }>
}

const routes = await listRoutes()
const document = openApiDocument(routes, '1.2.3')
const paths = document.paths as Record<string, Record<string, Operation>>

const operation = (method: string, path: string): Operation => paths[path]![method]!
const bodySchema = (method: string, path: string): object =>
  operation(method, path).requestBody!.content['application/json']!.schema

const nameOf = ({ method, path }: Pick<Route, 'method' | 'path'>): string => `${method} ${path}`

describe('the document', () => {
  test('the document is valid OpenAPI 3.1', async () => {
    const validator = new Validator()
    expect(await validator.validate(structuredClone(document))).toEqual({ valid: true })
    expect(validator.version).toBe('3.1')
    expect(JSON.stringify(document)).not.toContain('$defs')
  })

  test('the document lists every route of the router, each under its own name', async () => {
    const { deps, close } = await openDeps()
    const served = api(deps).routes.filter(({ method }) => method !== 'ALL')
    await close()
    const wanted = new Set(served.map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`))
    const all = Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, { operationId }]) => [`${method.toUpperCase()} ${path}`, operationId]),
    )
    expect(new Set(all.map(([name]) => name))).toEqual(wanted)
    expect(new Set(all.map(([, id]) => id)).size).toBe(all.length)
    expect(wanted).toContain('GET /api/openapi.json')
    expect(routes.flatMap(pathsOf)).toHaveLength(wanted.size)
  })

  test('the document has the role that each route requires', () => {
    expect(operation('get', '/api/health')).toMatchObject({ 'x-role': 'open', security: [] })
    expect(operation('get', '/api/auth/me')['x-role']).toBe('any')
    expect(operation('get', '/api/snapshot')).toMatchObject({ 'x-role': 'viewer', security: [{ token: [] }] })
    expect(operation('patch', '/api/agents/{id}/budget')['x-role']).toBe('admin')
    expect(operation('get', '/api/run')['x-role']).toBe('agent')
    expect(operation('post', '/api/run/services/{name}/begin')['x-role']).toBe('agent')
  })

  test('the description of an alias names the route it stands for', () => {
    const { description, summary } = operation('post', '/agent/{id}/stop')
    expect(description).toBe('The same as POST /api/agents/{id}/stop.')
    expect(summary).toBe(operation('post', '/api/agents/{id}/stop').summary)
    expect(operation('get', '/secrets').description).toBe('The same as GET /api/secrets.')
    expect(operation('get', '/api/secrets').description).toBeUndefined()
  })

  test('the document has parameters of the path and of the query, and every error', () => {
    expect(operation('get', '/api/agents/{id}/calls').parameters).toEqual([
      { name: 'id', in: 'path', required: true, schema: { type: 'string' } },
      ...['state', 'kind', 'from', 'to', 'before', 'limit'].map((name) => ({
        name,
        in: 'query',
        required: false,
        schema: expect.any(Object),
      })),
    ])
    expect(JSON.stringify(document.components)).toContain(`"const":"budget_exceeded","description":"402: `)
    for (const code of Object.keys(ERRORS)) expect(JSON.stringify(document.components)).toContain(`"${code}"`)
  })

  test('the document names the errors of a route by status, and those of every route once', () => {
    const { responses } = operation('patch', '/api/agents/{id}/budget')
    expect(Object.keys(responses)).toEqual(['200', '400', '401', '403', '404', '413', 'default'])
    expect(codesOf(responses['404']!)).toEqual(['not_found'])
    expect(codesOf(responses['400']!)).toEqual(['bad_request', 'invalid_amount'])
    expect(operation('get', '/api/version').responses).toMatchObject({ default: { $ref: expect.any(String) } })
    expect(codesOf((document.components as ApiDocument['components']).responses.AnyRoute!)).toContain('internal')
  })

  test('the document refers to shared parts of replies by name', () => {
    const { schemas } = document.components as { schemas: Record<string, { properties: object }> }
    const { responses } = operation('get', '/api/agents/{id}')
    expect(responses['200']!.content!['application/json']!.schema).toEqual({ $ref: '#/components/schemas/AgentStatus' })
    expect(schemas.AgentStatus!.properties).toMatchObject({ agent: { $ref: '#/components/schemas/Agent' } })
    const referred = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!)
    expect(Object.keys(schemas).toSorted()).toEqual([...new Set(referred)].toSorted())
  })
})

const codesOf = ({ content }: { content?: Record<string, unknown> }): string[] =>
  (content!['application/json'] as { schema: { allOf: [object, CodeSchema] } }).schema.allOf[1].properties.error
    .properties.code.enum

interface CodeSchema {
  properties: { error: { properties: { code: { enum: string[] } } } }
}

describe('a definition', () => {
  const route = routesOf('Server')
  const answer = () => z.object({ name: z.string() })

  test('a definition without a role, a summary or a schema of its reply does not compile', () => {
    const rest = { summary: 'Says its name.', reply: answer, handle: () => ({ name: 'x' }) }
    route('GET /x', { ...rest, role: 'viewer' })
    // @ts-expect-error
    route('GET /x', rest)
    // @ts-expect-error
    route('GET /x', { role: 'viewer', reply: answer, handle: rest.handle })
    // @ts-expect-error
    route('GET /x', { role: 'viewer', summary: 'Says its name.', handle: rest.handle })
  })

  test('a definition whose handler answers, asks or reads otherwise does not compile', () => {
    const doc = { role: 'viewer', summary: 'Says its name.', reply: answer } as const
    // @ts-expect-error
    route('GET /x', { ...doc, handle: () => ({ name: 1 }) })
    // @ts-expect-error
    route('GET /x', { ...doc, handle: () => undefined })
    // @ts-expect-error
    route('GET /x/:id', { ...doc, handle: ({ params }) => ({ name: params.name }) })
    // @ts-expect-error
    route('GET /x', { ...doc, role: 'open', handle: ({ identity }) => ({ name: identity.name }) })
    // @ts-expect-error
    route('POST /x', { ...doc, body: answer(), handle: ({ body }) => ({ name: body.surname }) })
    route('POST /x/:id', { ...doc, body: answer(), handle: ({ body, params }) => ({ name: body.name + params.id }) })
  })
})

describe('a reply', () => {
  const served = document as unknown as ApiDocument
  const compare = (status: number, body: object, url = 'http://127.0.0.1/api/version') =>
    compareWith(served)('GET', url, {
      status,
      headers: { 'content-type': 'application/json' },
      json: () => body as Record<string, unknown>,
    })
  const error = { message: 'm', hint: 'h', facts: {}, request_id: 'r' }

  test('a reply with one field more, one less, or one of another type is not as documented', () => {
    expect(compare(200, { version: '1' })).toBeUndefined()
    expect(compare(200, { version: '1', more: true })).toContain('more')
    expect(compare(200, {})).toContain('version')
    expect(compare(200, { version: 1 })).toContain('string')
    expect(compare(200, { agents: [{ id: 'a' }] }, 'http://127.0.0.1/api/agents')).toContain('/agents/0')
  })

  test('a reply with an error that its route does not name is not as documented', () => {
    const agent = 'http://127.0.0.1/api/agents/a'
    expect(compare(404, { error: { ...error, code: 'not_found' } }, agent)).toBeUndefined()
    expect(compare(404, { error: { ...error, code: 'script_not_found' } }, agent)).toContain('/error/code')
    expect(compare(409, { error: { ...error, code: 'conflict' } }, agent)).toContain('/error/code')
    expect(compare(500, { error: { ...error, code: 'internal' } }, agent)).toBeUndefined()
  })
})

describe('the schemas of bodies', () => {
  test.each<[method: string, path: string, good: object[], bad: object[]]>([
    [
      'post',
      '/api/secrets',
      [{ name: 'KEY', environment: 'production', value: 'v' }],
      [{ name: 'KEY' }, { name: 'KEY', environment: 'moon', value: 'v' }],
    ],
    ['patch', '/api/agents/{id}/budget', [{ add_usd: '25' }, { limit_usd: 75 }], [{}, { add_usd: true }]],
    ['post', '/api/tokens', [{ name: 'ci', role: 'viewer' }], [{ name: '' }, { name: 'ci', surprise: 1 }]],
    ['post', '/api/users', [{ username: 'ada', password: 'correct horse battery' }], [{ username: 'ada' }]],
    ['post', '/api/run/outcomes', [{ outcome: 'failed', label: null }], [{ outcome: 'well' }, { latency_ms: 1 }]],
    ['put', '/api/run/checkpoint', [{ data: { any: [1, null, 'x'] } }, { data: null }], [{}]],
    [
      'post',
      '/api/run/services/{name}/begin',
      [{}, { failures: 3, has_fallback: true }],
      [{ failures: 0 }, { failures: '3' }],
    ],
  ])('the route and the schema of %s %s accept and refuse the same bodies', async (method, path, good, bad) => {
    const cage = await openTestRuntime({ masterKey: MASTER_KEY })
    const agent = cage.addAgent()
    const token = path.startsWith('/api/run') ? agent.token : (await cage.login()).access_token
    const accepts: (value: unknown) => boolean = new Ajv2020({ strict: false, validateFormats: false }).compile(
      bodySchema(method, path),
    )
    for (const body of [...good, ...bad]) {
      const url = path.replace('{id}', agent.id).replace('{name}', 'serp_api')
      const { status, text } = await cage.post(url, body, token, method.toUpperCase() as 'POST')
      expect({ body, accepted: status < 300, text }).toEqual({ body, accepted: accepts(body), text })
      expect(accepts(body)).toBe(good.includes(body))
    }
  })

  /** Every field that any route knows, with a value that no field takes. */
  const nonsense = Object.fromEntries(
    routes.flatMap(({ body }) => (body ? fieldsOf(body) : [])).map((field) => [field, [{}]]),
  )

  test('the schemas of bodies are those that the routes read with: each refuses in the same words', async () => {
    const cage = await openTestRuntime({ masterKey: MASTER_KEY })
    const agent = cage.addAgent()
    const { access_token: admin } = await cage.login()
    const secret = { name: 'KEY', environment: 'production', value: 'value' }
    const { id: secretId } = (await cage.post('/api/secrets', secret, admin)).json()
    const differing: string[] = []
    for (const { body, query, ...route } of routes) {
      const [method, path] = [route.method as 'POST', route.path]
      const url = path
        .replace('/agents/:id', `/agents/${agent.id}`)
        .replace('/secrets/:id', `/secrets/${secretId}`)
        .replaceAll(/:\w+/g, 'nothing')
      const token = path.startsWith('/api/run') ? agent.token : admin
      const look = async (expected: string | undefined, ask: () => Promise<Reply>) => {
        if (expected === undefined) return
        const { error } = (await ask()).json() as { error?: { message: string } }
        if (error?.message !== expected) differing.push(`${nameOf(route)}: ${error?.message} instead of ${expected}`)
      }
      if (body) await look(refusal(body, nonsense, 'the body'), () => cage.post(url, nonsense, token, method))
      if (query) {
        const asked = nonsenseQuery(query)
        await look(refusal(query, asked, 'the query'), () => cage.get(`${url}?${new URLSearchParams(asked)}`, token))
      }
    }
    expect(differing).toEqual([])
  })
})

/** Names of the fields that an object, or one of several, may have. */
function fieldsOf(schema: z.ZodType): string[] {
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return [json, ...(json.anyOf ?? []), ...(json.oneOf ?? [])].flatMap(({ properties = {} }) => Object.keys(properties))
}

/** The error of a route that reads with this schema; undefined when it accepts the value. */
function refusal(schema: z.ZodType, value: unknown, what: string): string | undefined {
  try {
    check(schema, value, what)
  } catch (error) {
    return (error as Error).message
  }
}

const nonsenseQuery = (schema: z.ZodType): Record<string, string> =>
  Object.fromEntries([...fieldsOf(schema), 'surprise'].map((field) => [field, '\u2603']))

describe('the route', () => {
  test('a viewer can read the document, and the other routes answer as documented', async () => {
    const cage = await openTestRuntime({ masterKey: MASTER_KEY })
    const { access_token: admin } = await cage.login()
    const agent = cage.addAgent()
    const viewer = (await cage.post('/api/tokens', { name: 'looker', role: 'viewer' }, admin)).json().token as string
    const served = (await cage.get('/api/openapi.json', viewer)).json()
    expect(served).toEqual({ ...document, info: { ...(document.info as object), version: '0.0.0-test' } })
    expect((await cage.get('/api/openapi.json')).status).toBe(401)

    // Each reply is compared with the document when it comes.
    const replied = []
    for (const { method, path, reply: documented } of routes) {
      const url = path.replace('/agents/:id', `/agents/${agent.id}`)
      if (method !== 'GET' || url.includes(':') || documented === null) continue
      const { status } = await cage.get(url, path.startsWith('/api/run') ? agent.token : admin)
      replied.push(status)
    }
    expect(replied.filter((status) => status === 200).length).toBeGreaterThan(20)
  })
})
