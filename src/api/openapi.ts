/**
 * The OpenAPI document: paths, methods and roles are the router's, parameters and bodies the schemas that routes read
 * with, words those of `route-table.ts`, errors the table of `errors.ts`.
 */
import type { Hono } from 'hono'
import * as z from 'zod'
import { ERRORS, type ErrorCode } from '../errors.ts'
import type { Env, Guard, RequiredRole } from './guard.ts'
import { BESIDE, RESOURCES, SAME_AS, type ToldRoute } from './route-table.ts'

type Json = Record<string, unknown>
type Routes = Hono<Env>['routes']

/** OpenAPI 3.1. Throws Error when a route is not told, or one is told that is not there. */
export function openApiDocument(routes: Routes, version: string): Json {
  const told = new Map(
    Object.entries(RESOURCES).flatMap(([tag, resource]) =>
      Object.entries(resource.routes).map(([name, route]) => [name, { ...route, tag }] as const),
    ),
  )
  const paths: Record<string, Json> = {}
  const untold = new Set(told.keys())
  for (const { method, path } of routes) {
    if (method === 'ALL') continue
    const original = originalOf(path)
    const route = told.get(`${method} ${original}`)
    if (!route) throw new Error(`${method} ${path} is not in the table of routes`)
    untold.delete(`${method} ${path}`)
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
  if (untold.size > 0) throw new Error(`there is no ${[...untold].join(', no ')}`)
  return {
    openapi: '3.1.1',
    info: {
      title: 'Iron Cage',
      version,
      description:
        'Money is a decimal string in US dollars, times are ISO 8601 UTC, durations have their unit in the name. Each operation names the role that it needs in x-role: viewer, admin (who may do what a viewer may), agent, any (good token), or open.',
    },
    servers: [{ url: '/' }],
    tags: [
      ...Object.entries(RESOURCES).map(([name, { description }]) => ({ name, description })),
      ...Object.entries(BESIDE).map(([name, description]) => ({ name, description })),
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
        Error: response('Another error; its code tells which.', { $ref: '#/components/schemas/Error' }),
        ...Object.fromEntries(
          TOLD_ERRORS.map((code) => [
            code,
            response(`${code}: ${ERRORS[code].hint}.`, { $ref: '#/components/schemas/Error' }),
          ]),
        ),
      },
    },
  }
}

/** The path that a route is told by. */
function originalOf(path: string): string {
  const prefix = Object.keys(SAME_AS).find((short) => path === short || path.startsWith(`${short}/`))
  return prefix === undefined ? path : SAME_AS[prefix] + path.slice(prefix.length)
}

const template = (path: string): string => path.replaceAll(/:(\w+)/g, '{$1}')

/** The role that a route's guard asks for, its own or one for all below a path; undefined: it is open. */
function requiredRoleOf(routes: Routes, method: string, path: string): RequiredRole | undefined {
  const guards = routes.filter(
    (route) =>
      (route.method === method && route.path === path) ||
      (route.method === 'ALL' && `${path}/`.startsWith(route.path.replace(/\*$/, ''))),
  )
  return guards.map(({ handler }) => (handler as Partial<ReturnType<Guard>>).needs).find((needs) => needs !== undefined)
}

function operation(
  { summary, query, body, answer, status, types = [] }: ToldRoute,
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
  // Only z.json() refers to itself. It is any JSON, as the empty schema is, which needs no place of its own.
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

/** Those that a route's own shape foretells. */
const TOLD_ERRORS = ['bad_request', 'unauthorized', 'forbidden', 'not_found'] as const satisfies ErrorCode[]

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
        facts: { type: 'object', description: 'What the message says, by name.' },
        request_id: { type: 'string', description: 'Also in the header x-request-id, and in the log.' },
      },
    },
  },
}
