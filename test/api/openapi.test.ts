import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { check } from '../../src/api/body.ts'
import { openApiDocument } from '../../src/api/openapi.ts'
import { RESOURCES, type RouteDoc } from '../../src/api/route-table.ts'
import { ERRORS } from '../../src/errors.ts'
import { listRoutes } from '../support/rooms.ts'
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

const documented: [string, RouteDoc][] = Object.values(RESOURCES).flatMap((resource) => Object.entries(resource.routes))

describe('the document', () => {
  test('is valid OpenAPI 3.1', async () => {
    const validator = new Validator()
    expect(await validator.validate(structuredClone(document))).toEqual({ valid: true })
    expect(validator.version).toBe('3.1')
    expect(JSON.stringify(document)).not.toContain('$defs')
  })

  test('has every route of the router, each under a name of its own', () => {
    const wanted = new Set(
      routes
        .filter(({ method }) => method !== 'ALL')
        .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`),
    )
    const all = Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, { operationId }]) => [`${method.toUpperCase()} ${path}`, operationId]),
    )
    expect(new Set(all.map(([name]) => name))).toEqual(wanted)
    expect(new Set(all.map(([, id]) => id)).size).toBe(all.length)
    expect(wanted).toContain('GET /api/openapi.json')
  })

  test('tells the role that each route asks for', () => {
    expect(operation('get', '/api/health')).toMatchObject({ 'x-role': 'open', security: [] })
    expect(operation('get', '/api/auth/me')['x-role']).toBe('any')
    expect(operation('get', '/api/snapshot')).toMatchObject({ 'x-role': 'viewer', security: [{ token: [] }] })
    expect(operation('patch', '/api/agents/{id}/budget')['x-role']).toBe('admin')
    // The guard of all below a path.
    expect(operation('get', '/api/run')['x-role']).toBe('agent')
    expect(operation('post', '/api/run/services/{name}/begin')['x-role']).toBe('agent')
  })

  test('says of a route that is there twice what it is the same as', () => {
    const { description, summary } = operation('post', '/agent/{id}/stop')
    expect(description).toBe('The same as POST /api/agents/{id}/stop.')
    expect(summary).toBe(operation('post', '/api/agents/{id}/stop').summary)
    expect(operation('get', '/secrets').description).toBe('The same as GET /api/secrets.')
    expect(operation('get', '/api/secrets').description).toBeUndefined()
  })

  test('has parameters of the path and of the query, and every error', () => {
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

  test('is refused when a route is undocumented, or a documented one does not exist', () => {
    const [health] = routes.filter(({ path }) => path === '/api/health')
    const surprise = { ...health!, path: '/api/surprise' }
    expect(() => openApiDocument([...routes, surprise], '1')).toThrow('GET /api/surprise is not in the table of routes')
    const fewer = routes.filter(({ path }) => path !== '/api/version')
    expect(() => openApiDocument(fewer, '1')).toThrow('there is no GET /api/version')
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
  ])('%s %s: what it accepts the route accepts, what it refuses the route refuses', async (method, path, good, bad) => {
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
    documented.flatMap(([, { body }]) => (body ? fieldsOf(body) : [])).map((field) => [field, [{}]]),
  )

  test('are those that the routes read with: each refuses in the same words', async () => {
    const cage = await openTestRuntime({ masterKey: MASTER_KEY })
    const agent = cage.addAgent()
    const { access_token: admin } = await cage.login()
    const secret = { name: 'KEY', environment: 'production', value: 'value' }
    const { id: secretId } = (await cage.post('/api/secrets', secret, admin)).json()
    const differing: string[] = []
    for (const [name, { body, query }] of documented) {
      const [method, path] = name.split(' ') as ['POST', string]
      const url = path
        .replace('/agents/:id', `/agents/${agent.id}`)
        .replace('/secrets/:id', `/secrets/${secretId}`)
        .replaceAll(/:\w+/g, 'nothing')
      const token = path.startsWith('/api/run') ? agent.token : admin
      const look = async (expected: string | undefined, ask: () => Promise<Reply>) => {
        if (expected === undefined) return
        const { error } = (await ask()).json() as { error?: { message: string } }
        if (error?.message !== expected) differing.push(`${name}: ${error?.message} instead of ${expected}`)
      }
      if (body) await look(refusal(body, nonsense, 'the body'), () => cage.post(url, nonsense, token, method))
      if (query) {
        const asked = nonsenseQuery(query)
        await look(refusal(query, asked, 'the query'), () => cage.get(`${url}?${new URLSearchParams(asked)}`, token))
      }
    }
    expect(differing).toEqual([])
  })

  test('are all that the routes read', () => {
    const folder = resolve(import.meta.dirname, '../../src/api')
    const source = (file: string) => readFileSync(join(folder, file), 'utf8')
    const read = readdirSync(folder).flatMap((file) =>
      [...source(file).matchAll(/read(?:Json|Query)\(context, ([^,)]+)/g)].map(([, schema]) => schema!),
    )
    const named = [...source('route-table.ts').matchAll(/\b(?:body|query): (\w+)/g)].map(([, schema]) => schema!)
    expect(read.toSorted()).toEqual(named.toSorted())
  })
})

/** Names of the fields that an object, or one of several, may have. */
function fieldsOf(schema: z.ZodType): string[] {
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return [json, ...(json.anyOf ?? []), ...(json.oneOf ?? [])].flatMap(({ properties = {} }) => Object.keys(properties))
}

/** What a route that reads with this schema answers; undefined when it takes the value. */
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
  test('answers the document to a viewer, and names the fields that other routes answer with', async () => {
    const cage = await openTestRuntime({ masterKey: MASTER_KEY })
    const { access_token: admin } = await cage.login()
    const agent = cage.addAgent()
    const viewer = (await cage.post('/api/tokens', { name: 'looker', role: 'viewer' }, admin)).json().token as string
    const served = (await cage.get('/api/openapi.json', viewer)).json()
    expect(served).toEqual({ ...document, info: { ...(document.info as object), version: '0.0.0-test' } })
    expect((await cage.get('/api/openapi.json')).status).toBe(401)

    const differing: string[] = []
    for (const [name, { answer }] of documented) {
      const [method, path] = name.split(' ') as [string, string]
      const url = path.replace('/agents/:id', `/agents/${agent.id}`)
      if (method !== 'GET' || url.includes(':')) continue
      const reply = await cage.get(url, path.startsWith('/api/run') ? agent.token : admin)
      if (reply.status !== 200 || !reply.headers['content-type']?.startsWith('application/json')) continue
      const missing = Object.keys(answer!).filter((field) => !(field in reply.json()))
      if (missing.length > 0) differing.push(`${name}: ${missing}`)
    }
    expect(differing).toEqual([])
  })
})
