/**
 * The OpenAPI document. Paths, methods and roles come from the router, parameters and bodies from the schemas that
 * routes parse with, texts from `route-table.ts`, errors from the table in `errors.ts`.
 */
import type { Hono } from 'hono'
import * as z from 'zod'
import { ERRORS, type ErrorCode } from '../errors.ts'
import type { Env, Guard, RequiredRole } from './guard.ts'
import { ALIASES, NON_REST_ENDPOINTS, RESOURCES, type RouteDoc } from './route-table.ts'

type Json = Record<string, unknown>
type Routes = Hono<Env>['routes']

/** OpenAPI 3.1. Throws Error for a route without documentation, or documentation without a route. */
export function openApiDocument(routes: Routes, version: string): Json {
  const documented = new Map(
    Object.entries(RESOURCES).flatMap(([tag, resource]) =>
      Object.entries(resource.routes).map(([name, route]) => [name, { ...route, tag }] as const),
    ),
  )
  const paths: Record<string, Json> = {}
  const unused = new Set(documented.keys())
  for (const { method, path } of routes) {
    if (method === 'ALL') continue
    const original = originalOf(path)
    const route = documented.get(`${method} ${original}`)
    if (!route) throw new Error(`${method} ${path} is not in the table of routes`)
    unused.delete(`${method} ${path}`)
    paths[template(path)] ??= {}
    paths[template(path)]![method.toLowerCase()] = {
      tags: [route.tag],
      operationId: [method.toLowerCase(), ...path.split(/\W+/).filter(Boolean)].join('_'),
      ...(original !== path && {
        description: `The same as ${method} ${template(original)}.`,
        'x-same-as': template(original),
      }),
      ...operation(route, path, requiredRoleOf(routes, method, path)),
    }
  }
  if (unused.size > 0) throw new Error(`there is no ${[...unused].join(', no ')}`)
  return {
    openapi: '3.1.1',
    info: {
      title: 'Iron Cage',
      version,
      description:
        'Money is a decimal string in US dollars, times are ISO 8601 UTC, durations have their unit in the name. x-role is the role that an operation requires: viewer, admin (includes viewer), agent, any (valid token), or open.',
    },
    servers: [{ url: '/' }],
    tags: [
      ...Object.entries(RESOURCES).map(([name, { description }]) => ({ name, description })),
      ...Object.entries(NON_REST_ENDPOINTS).map(([name, description]) => ({ name, description })),
    ],
    paths,
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: "A session's access token, an API token or a run token.",
        },
      },
      schemas: { Error: ERROR },
      responses: {
        Error: response('Another error, identified by its code.', { $ref: '#/components/schemas/Error' }),
        ...Object.fromEntries(
          DOCUMENTED_ERRORS.map((code) => [
            code,
            response(`${code}: ${ERRORS[code].hint}.`, { $ref: '#/components/schemas/Error' }),
          ]),
        ),
      },
    },
  }
}

/** The path that a route is documented under. */
function originalOf(path: string): string {
  const prefix = Object.keys(ALIASES).find((short) => path === short || path.startsWith(`${short}/`))
  return prefix === undefined ? path : ALIASES[prefix] + path.slice(prefix.length)
}

const template = (path: string): string => path.replaceAll(/:(\w+)/g, '{$1}')

/** The role that a route's guard requires, its own or one for all paths below; undefined for a public route. */
function requiredRoleOf(routes: Routes, method: string, path: string): RequiredRole | undefined {
  const guards = routes.filter(
    (route) =>
      (route.method === method && route.path === path) ||
      (route.method === 'ALL' && `${path}/`.startsWith(route.path.replace(/\*$/, ''))),
  )
  return guards.map(({ handler }) => (handler as Partial<ReturnType<Guard>>).needs).find((needs) => needs !== undefined)
}

function operation(
  { summary, query, body, answer, status, types = [] }: RouteDoc,
  path: string,
  need: RequiredRole | undefined,
): Json {
  const parameters = [
    ...[...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
      name,
      in: 'path',
      required: true,
      schema: { type: 'string' },
    })),
    ...(query ? queryParameters(schemaOf(query)) : []),
  ]
  const errors: ErrorCode[] = [
    ...(query || body ? (['bad_request'] as const) : []),
    ...(need ? (['unauthorized', 'forbidden'] as const) : []),
    ...(path.includes(':') ? (['not_found'] as const) : []),
  ]
  return {
    summary,
    'x-role': need ?? 'open',
    security: need ? [{ token: [] }] : [],
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body) } } } }),
    responses: {
      [status ?? (answer ? 200 : 204)]: answer ? answerOf(answer, types) : { description: 'Done.' },
      ...Object.fromEntries(errors.map((code) => [ERRORS[code].status, { $ref: `#/components/responses/${code}` }])),
      default: { $ref: '#/components/responses/Error' },
    },
  }
}

/** What a client may send: before defaults are filled in and values converted. */
function schemaOf(schema: z.ZodType): Json {
  const { $schema: _dialect, $defs: _any, ...json } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  // Only z.json() refers to itself. It means any JSON, like the empty schema, which needs no definition.
  return JSON.parse(JSON.stringify(json), (_key, value: Json | null) =>
    value?.$ref === undefined ? value : {},
  ) as Json
}

const queryParameters = ({ properties = {}, required = [] }: Json): Json[] =>
  Object.entries(properties as Record<string, Json>).map(([name, schema]) => ({
    name,
    in: 'query',
    required: (required as string[]).includes(name),
    schema,
  }))

function answerOf(answer: Readonly<Record<string, string>>, types: readonly string[]): Json {
  const fields = Object.entries(answer).map(([name, description]) => [name, { description }])
  const json = { type: 'object', properties: Object.fromEntries(fields) }
  return {
    description: 'Done.',
    content: {
      ...(fields.length > 0 && { 'application/json': { schema: json } }),
      ...Object.fromEntries(types.map((type) => [type, { schema: { type: 'string' } }])),
    },
  }
}

const response = (description: string, schema: Json): Json => ({
  description,
  content: { 'application/json': { schema } },
})

/** The errors that follow from a route's shape. */
const DOCUMENTED_ERRORS = ['bad_request', 'unauthorized', 'forbidden', 'not_found'] as const satisfies ErrorCode[]

const ERROR: Json = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'hint', 'facts', 'request_id'],
      properties: {
        code: {
          description: 'What went wrong, for programs.',
          oneOf: Object.entries(ERRORS).map(([code, { status, hint }]) => ({
            const: code,
            description: `${status}: ${hint}.`,
          })),
        },
        message: { type: 'string', description: 'What went wrong, for people.' },
        hint: { type: 'string', description: 'What to do next.' },
        facts: { type: 'object', description: 'The values in the message, by name.' },
        request_id: { type: 'string', description: 'Also in the header x-request-id, and in the log.' },
      },
    },
  },
}
