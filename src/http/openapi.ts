/** The OpenAPI document, made from the definitions of the routes and the table in `errors.ts`. */
import * as z from 'zod'
import { ERRORS, type ErrorCode } from '../core/errors.ts'
import { pathsOf, type Route, TAGS } from './route.ts'

type Json = Record<string, unknown>

/** What this port serves besides the routes, as text. */
const NON_REST_ENDPOINTS: Readonly<Record<string, string>> = {
  Gateway:
    "The provider's own API and error shape, for an agent's clients: /gateway/{run}/openai/v1/…, /gateway/{run}/anthropic/…, /gateway/{run}/services/{name}/…, where {run} is the run's id (for its own processes) or its token. With a run token or an API token as bearer token or x-api-key: /gateway/openai/v1/… and /gateway/anthropic/…. Replies have the headers x-iron-cage-call-id, x-iron-cage-cost-usd, x-iron-cage-remaining-usd and x-iron-cage-redactions. Refusals: 402 budget_exceeded, 429 budget_held, 403 price_unknown, 422 pii_blocked, 503 circuit_open, vault_locked or agent_paused.",
  'Live view':
    'WebSocket GET /ws?ticket=&after=, with a ticket from POST /api/auth/ws-ticket. Frames are JSON: {"type":"snapshot","server_time","seq","data"} first, or the missed events if `after` is recent enough; then {"type":"events","server_time","events":[…]} ordered by seq. Viewers send nothing.',
}

/** OpenAPI 3.1. `tags`: (Default: those of a runtime's server.) */
export function openApiDocument(
  routes: readonly Route<string>[],
  version: string,
  tags: Readonly<Record<string, string>> = { ...TAGS, ...NON_REST_ENDPOINTS },
): Json & { openapi: string } {
  const schemas = new Schemas()
  const paths: Record<string, Json> = {}
  for (const route of routes) {
    for (const path of pathsOf(route)) {
      paths[template(path)] ??= {}
      paths[template(path)]![route.method.toLowerCase()] = operation(route, path, schemas)
    }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Iron Cage',
      version,
      description:
        'Money is a decimal string in US dollars, times are ISO 8601 UTC, durations have their unit in the name. x-role is the role that an operation requires: viewer, admin (includes viewer), agent, any (valid token), or open.',
    },
    servers: [{ url: '/' }],
    tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: "A session's access token, an API token or a run token.",
        },
      },
      schemas: { Error: ERROR, ...schemas.named },
      responses: { AnyRoute: errorResponse(GENERAL_ERRORS) },
    },
  }
}

const template = (path: string): string => path.replaceAll(/:(\w+)/g, '{$1}')

function operation(route: Route<string>, path: string, schemas: Schemas): Json {
  const { tag, method, summary, role, query, body } = route
  const parameters = [
    ...[...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
      name,
      in: 'path',
      required: true,
      schema: { type: 'string' },
    })),
    ...(query ? queryParameters(inputSchema(query)) : []),
  ]
  return {
    tags: [tag],
    operationId: [method.toLowerCase(), ...path.split(/\W+/).filter(Boolean)].join('_'),
    summary,
    ...(path !== route.path && {
      description: `The same as ${method} ${template(route.path)}.`,
      'x-same-as': template(route.path),
    }),
    'x-role': role,
    security: role === 'open' ? [] : [{ token: [] }],
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: !(body instanceof z.ZodOptional),
        content: { 'application/json': { schema: inputSchema(body) } },
      },
    }),
    responses: { ...replies(route, schemas), ...refusals(route), default: { $ref: '#/components/responses/AnyRoute' } },
  }
}

function replies({ reply, types = [], statuses }: Route<string>, schemas: Schemas): Json {
  const content = {
    ...(reply && { 'application/json': { schema: schemas.add(reply()) } }),
    ...Object.fromEntries(types.map((type) => [type, { schema: { type: 'string' } }])),
  }
  const isEmpty = Object.keys(content).length === 0
  const response = { description: 'Done.', ...(!isEmpty && { content }) }
  return Object.fromEntries((statuses ?? [isEmpty ? 204 : 200]).map((status) => [status, response]))
}

/** Errors of a route by status, except those that every route can answer. */
function refusals(route: Route<string>): Json {
  const byStatus: Record<number, ErrorCode[]> = {}
  for (const code of errorsOf(route)) {
    byStatus[ERRORS[code].status] ??= []
    byStatus[ERRORS[code].status]!.push(code)
  }
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, codes]) => {
      const general = GENERAL_ERRORS.filter((code) => ERRORS[code].status === Number(status))
      return [status, errorResponse([...new Set([...codes, ...general])])]
    }),
  )
}

/** The errors of a route: of its role, its query and body, and its own. */
export const errorsOf = ({ role, query, body, errors = [] }: Route<string>): ErrorCode[] => [
  ...new Set<ErrorCode>([
    ...(query || body ? (['bad_request'] as const) : []),
    ...(body ? (['body_too_large'] as const) : []),
    ...(role === 'open' ? [] : (['unauthorized', 'foreign_process', 'forbidden'] as const)),
    ...errors,
  ]),
]

/** The errors of the server, on any route. */
export const GENERAL_ERRORS = [
  ...(['bad_request', 'host_refused', 'origin_refused', 'too_many_connections'] as const),
  ...(['database_unusable', 'audit_broken', 'internal'] as const),
] as const satisfies ErrorCode[]

const errorResponse = (codes: readonly ErrorCode[]): Json => ({
  description: codes.map((code) => `${code}: ${ERRORS[code].hint}.`).join(' '),
  content: {
    'application/json': {
      schema: {
        allOf: [
          { $ref: '#/components/schemas/Error' },
          { properties: { error: { properties: { code: { enum: [...codes] } } } } },
        ],
      },
    },
  },
})

/** A client's input: before defaults are filled in and values converted. */
function inputSchema(schema: z.ZodType): Json {
  const { $schema: _dialect, $defs: _any, ...json } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  // Only z.json() refers to itself. It means any JSON, like the empty schema, which needs no definition.
  return mapped(json, (value) => (value.$ref === undefined ? value : {}))
}

/** Schemas of replies, in which the named ones are references. */
class Schemas {
  readonly named: Record<string, Json> = {}

  add(schema: z.ZodType): Json {
    const { $schema: _dialect, $defs = {}, ...json } = z.toJSONSchema(schema, { unrepresentable: 'any' })
    for (const [name, definition] of Object.entries($defs)) this.named[name] = referring(definition as Json)
    return referring(json)
  }
}

const referring = (schema: Json): Json =>
  mapped(schema, (value) =>
    typeof value.$ref === 'string'
      ? { ...value, $ref: value.$ref.replace('#/$defs/', '#/components/schemas/') }
      : value,
  )

/** Changes every object in a schema. */
const mapped = (schema: object, change: (value: Json) => Json): Json =>
  JSON.parse(JSON.stringify(schema), (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? change(value as Json) : value,
  ) as Json

const queryParameters = ({ properties = {}, required = [] }: Json): Json[] =>
  Object.entries(properties as Record<string, Json>).map(([name, schema]) => ({
    name,
    in: 'query',
    required: (required as string[]).includes(name),
    schema,
  }))

const ERROR: Json = {
  type: 'object',
  required: ['error'],
  additionalProperties: false,
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'hint', 'facts', 'request_id'],
      additionalProperties: false,
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
