/**
 * A route is defined once, together with everything that is documented about it. The router, the OpenAPI document and
 * docs/api.md are made from these definitions, and nothing else is served, so a route cannot lack a role or a document.
 * Schemas of replies are for documents and tests: replies are not parsed, and the schemas are built on first use.
 */
import type { Context, Handler, Hono, MiddlewareHandler } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import * as z from 'zod'
import type { Identity } from '../access/roles.ts'
import type { ErrorCode } from '../core/errors.ts'
import { readJson, readQuery } from './body.ts'
import type { Env, RequiredRole } from './guard.ts'

/** Groups of routes, in the order of the documents. */
export const TAGS = {
  Agents: 'Supervised programs: status, budget, and control.',
  Budgets: "Limits in addition to the agents' own. Every call must fit into all of them.",
  Calls: 'Rows of the ledger: the amount reserved for each call, and its cost.',
  State: 'The current state, and the events that led to it.',
  Circuits: 'Circuit breakers of providers and services.',
  Egress: 'Connections of agents to the outside.',
  Models: 'Which models respect the limits of their calls.',
  Alerts: 'Events that need attention, on the dashboard and by e-mail and webhook.',
  Secrets:
    'The secrets vault. Users see masked values. A run token gets the values of its own environment, except those its agent is shielded from.',
  Access: 'Sessions, users and API tokens.',
  Audit: 'The audit log.',
  'Own run':
    'Routes for the SDK inside an agent, with the run token in IRON_CAGE_TOKEN or an API token with the role agent.',
  Server: 'The server itself.',
} as const

/** The same of a Control Panel. */
export const PANEL_TAGS = {
  Fleet: 'Budgets that several runtimes share, and the runtimes that have joined.',
  Leases: 'For runtimes: the slices of shared budgets that they spend.',
  Control: 'For runtimes: what the panel asks of them.',
  Panel: 'The panel itself.',
} as const

export type Tag = keyof typeof TAGS | keyof typeof PANEL_TAGS

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** `Roles`: those of the server that has the route. */
export interface RouteDoc<Roles extends string = RequiredRole> {
  role: Roles | 'open'
  /** Its name in the audit. (Default: the route, if it is an admin's and changes anything.) */
  action?: string
  /** One sentence. */
  summary: string
  query?: z.ZodType
  /** May be left out of the request if it is a ZodOptional. */
  body?: z.ZodType
  /** Of the body. (Default: 2 MiB.) */
  maxBytes?: number
  /** The JSON of the reply; null for a reply that is empty or has only other `types`. */
  reply: (() => z.ZodType) | null
  /** The first one is that of a value returned by the handler. (Default: 200, or 204 for an empty reply.) */
  statuses?: readonly [ContentfulStatusCode, ...ContentfulStatusCode[]]
  /** Other content types of the reply. */
  types?: readonly string[]
  /** The errors that it throws; those of its role, query and body are known. */
  errors?: readonly ErrorCode[]
}

export interface Route<Roles extends string = RequiredRole> extends RouteDoc<Roles> {
  tag: Tag
  method: Method
  /** Parameters are written as `:id`. */
  path: string
  /** Runs between the guard and the handler. */
  before: readonly MiddlewareHandler<Env>[]
  handler: Handler<Env>
}

type ParamName<Path extends string> = Path extends `${string}:${infer Name}/${infer Rest}`
  ? Name | ParamName<`/${Rest}`>
  : Path extends `${string}:${infer Name}`
    ? Name
    : never

/** A handler's input: query and body as their schemas return them. */
interface RouteInput<Caller, Name extends string, Role, Query extends z.ZodType, Body extends z.ZodType> {
  context: Context<Env>
  params: Readonly<Record<ParamName<Name>, string>>
  query: z.output<Query>
  body: z.output<Body>
  identity: Role extends 'open' ? undefined : Caller
}

// biome-ignore lint/suspicious/noConfusingVoidType: a handler without a reply need not declare it
type RouteResult<Reply> = Response | (Reply extends () => z.ZodType ? z.output<ReturnType<Reply>> : void)

/** The content of a request, parsed. */
export interface ParsedRequest {
  params: Readonly<Record<string, string>>
  query: unknown
  body: unknown
}

/**
 * Returns the function that defines the routes of one group. `Caller`: the guard's view of a request. `require`: throws
 * CageError for what no route of the group takes. (Default: nothing.)
 */
export const routesOf =
  <Caller = Identity, Roles extends string = RequiredRole>(
    tag: Tag,
    require: (said: ParsedRequest) => void = () => {},
  ) =>
  <
    const Name extends `${Method} /${string}`,
    const Role extends Roles | 'open',
    const Reply extends (() => z.ZodType) | null,
    Query extends z.ZodType = z.ZodUndefined,
    Body extends z.ZodType = z.ZodUndefined,
  >(
    name: Name,
    {
      handle,
      ...doc
    }: RouteDoc<Roles> & {
      role: Role
      reply: Reply
      query?: Query
      body?: Body
      /** Returns the JSON of the reply, nothing for an empty one, or the whole response. */
      handle: (asked: RouteInput<Caller, Name, Role, Query, Body>) => RouteResult<Reply> | Promise<RouteResult<Reply>>
    },
  ): Route<Roles> => {
    const [method, path] = name.split(' ') as [Method, string]
    const [status = 200] = doc.statuses ?? []
    const handler: Handler<Env> = async (context) => {
      const query = doc.query && readQuery(context, doc.query)
      const body = doc.body && isSent(context, doc.body) ? await readJson(context, doc.body, doc.maxBytes) : undefined
      const said = { params: context.req.param(), query, body }
      require(said)
      const asked = { context, ...said, identity: context.get('identity') }
      const replied = await handle(asked as unknown as RouteInput<Caller, Name, Role, Query, Body>)
      if (replied instanceof Response) return replied
      return replied === undefined ? context.body(null, 204) : context.json(replied as object, status)
    }
    return { ...doc, tag, method, path, before: [], handler }
  }

/** False for a request without a body, where none is needed. */
function isSent({ req }: Context, schema: z.ZodType): boolean {
  if (!(schema instanceof z.ZodOptional)) return true
  const length = req.header('content-length')
  return length === undefined
    ? (req.header('content-type') ?? req.header('transfer-encoding')) !== undefined
    : length !== '0'
}

/** Second paths of routes, for clients that use these. */
const ALIASES: Readonly<Record<string, string>> = { '/api/agents': '/agent', '/api/secrets': '/secrets' }

/** All paths of a route, its own first. */
export function pathsOf({ path }: { path: string }): string[] {
  const own = Object.keys(ALIASES).find((prefix) => path === prefix || path.startsWith(`${prefix}/`))
  return own === undefined ? [path] : [path, ALIASES[own] + path.slice(own.length)]
}

/** Adds the routes, in the order in which they are matched, each behind the guard for its role. */
export function serveRoutes<Roles extends string>(
  app: Hono<Env>,
  routes: readonly Route<Roles>[],
  guarded: (role: Roles, action?: string) => MiddlewareHandler<Env>,
): Hono<Env> {
  for (const route of routes) {
    const { method, role, action, before, handler } = route
    const guards = role === 'open' ? [] : [guarded(role as Roles, action)]
    app.on(method, pathsOf(route), ...guards, ...before, handler)
  }
  return app
}

/** A schema that documents refer to by name, built on first use. */
export function named<Schema extends z.ZodType>(id: string, build: () => Schema): () => Schema {
  let schema: Schema | undefined
  return () => {
    schema ??= build().meta({ id })
    return schema
  }
}

/** The fields of a type, each with its schema: one more or less does not compile. */
export type Shape<T> = { readonly [Name in keyof T]-?: z.ZodType }

export const time = (): z.ZodString => z.string().meta({ format: 'date-time' })
export const usd = (): z.ZodString =>
  z
    .string()
    .regex(/^-?\d+(\.\d{1,9})?$/)
    .describe('US dollars.')
export const count = (): z.ZodInt => z.int().min(0)
/** Any JSON. */
export const json = (): z.ZodAny => z.any()
