/** The server of this machine: the gateway, the live view, the dashboard's files and the API, on one port. */

import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import type { Context, Hono } from 'hono'
import { html } from 'hono/html'
import * as z from 'zod'
import { CageError } from '../core/errors.ts'
import { newRequestId } from '../core/ids.ts'
import type { Egress } from '../egress/open-egress.ts'
import type { Via } from '../gateway/services/run-service-call.ts'
import type { Upgraded } from '../gateway/services/run-service-socket.ts'
import type { Assets } from '../http/assets.ts'
import { errorBody, errorResponse } from '../http/error-response.ts'
import { type Env, guard } from '../http/guard.ts'
import { openApiDocument } from '../http/openapi.ts'
import { Refusals } from '../http/refusals.ts'
import { type Route, routesOf, serveRoutes } from '../http/route.ts'
import { schemaRoutes } from '../http/schemas.ts'
import { type Serving, secureApp, serve } from '../http/serve.ts'
import { agentControlRoutes } from './agent-control.ts'
import { alertRoutes } from './alerts.ts'
import { auditRoutes } from './audit.ts'
import { authRoutes } from './auth.ts'
import { boothRoutes } from './booth.ts'
import { trustRoutes } from './circuits.ts'
import { configRoutes } from './config.ts'
import type { Deps } from './deps.ts'
import { egressRoutes } from './egress.ts'
import { LiveView, refuseUpgrade } from './live.ts'
import { metricsRoutes } from './metrics.ts'
import { contentRoutes } from './reports/contents.ts'
import { sharedReportRoutes } from './reports/report-links.ts'
import { runRoutes } from './run/run.ts'
import { secretRoutes } from './secrets.ts'
import { originalRoutes } from './state.ts'
import { storeRoutes } from './store-routes.ts'

export interface ServerDeps extends Deps {
  assets: Assets
  /** The way out of agents. */
  egress: Egress
  version: string
  onFault: (error: unknown, what: string) => void
}

/** The server's dependencies besides those of the routes. */
export interface ApiDeps extends Omit<ServerDeps, 'assets'> {
  refusals: Refusals
  /** The number of connected dashboards. */
  viewers: () => number
}

export interface RunningServer extends Serving {
  viewers(): number
}

/** Throws CageError `port_taken` naming the address, and `invalid_config` for a certificate that cannot be used. */
export async function startServer(deps: ServerDeps): Promise<RunningServer> {
  const { host, port, tls, allowed_hosts: allowedHosts, cors_origins: corsOrigins } = deps.config.server
  const live = new LiveView(deps)
  const refusals = new Refusals(deps)
  const recordRefusal = recordRefusals(refusals)
  const onApi = getRequestListener(api({ ...deps, refusals, viewers: () => live.viewers }).fetch, {
    overrideGlobalObjects: false,
  })
  /** Calls in progress. */
  const running = new Set<Promise<void>>()
  const onCall = (request: IncomingMessage, response: ServerResponse, via?: Via, upgraded?: Upgraded): void => {
    const call = deps.gateway
      .answer(request, response, recordRefusal, via, upgraded)
      .catch((error) => deps.onFault(error, 'the gateway failed on a call'))
    running.add(call)
    void call.finally(() => running.delete(call))
  }
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer, via: Via): void => {
    // Answers over HTTP until the connection is a WebSocket.
    const response = new ServerResponse(request)
    response.assignSocket(socket as Socket)
    response.once('finish', () => socket.end())
    onCall(request, response, via, { request, socket, head, detach: () => response.detachSocket(socket as Socket) })
  }
  const proxy = deps.egress.proxy(onCall, onUpgrade, {
    onRefused: (error) => error.withTexts(deps.safety.scrub),
    onUnidentified: recordRefusal,
  })
  const serving = await serve({
    proxy: { connect: (...given) => proxy.connect(...given), forward: (...given) => proxy.forward(...given) },
    ...{ host, port, tls, allowedHosts, corsOrigins, clock: deps.clock, onFault: deps.onFault },
    onRequest: (request, response) => {
      if (request.url?.startsWith('/gateway/')) onCall(request, response)
      else if (!deps.assets(request, response)) void onApi(request, response)
    },
    upgrades: { isOne: isLiveView, take: (...given) => live.upgrade(...given), refuse: refuseUpgrade },
    onRefused: (request, error) => {
      recordRefusal(request, error)
      return error
    },
  })
  return {
    ...serving,
    viewers: () => live.viewers,
    close: async () => {
      live.close()
      // Its connections are no longer those of HTTP, which the server could end.
      proxy.close()
      await serving.close()
      refusals.close()
      // Their sockets are closed, but each still has a hold to end and a row to write.
      await Promise.all(running)
    },
  }
}

/** Every route below /api and /agent, in the order in which they are matched. */
export function apiRoutes(deps: ApiDeps): Route[] {
  const routes: Route[] = [
    ...serverRoutes(deps, () => routes),
    ...authRoutes(deps),
    ...storeRoutes(deps),
    ...sharedReportRoutes(deps),
    ...agentControlRoutes(deps),
    ...runRoutes(deps),
    ...secretRoutes(deps),
    ...auditRoutes(deps.audit),
    ...metricsRoutes(deps),
    ...configRoutes(deps),
    ...originalRoutes(deps),
    ...egressRoutes(deps),
    ...trustRoutes(deps),
    ...alertRoutes(deps),
    ...contentRoutes(deps),
    ...boothRoutes(deps),
    ...schemaRoutes('Server'),
  ]
  return routes
}

const route = routesOf('Server')

const serverRoutes = ({ state, version }: ApiDeps, all: () => readonly Route[]): Route[] => [
  route('GET /api/health', {
    role: 'open',
    summary: 'Returns the health of the server; 503 if it is degraded.',
    reply: () =>
      z.object({
        status: z.enum(['ok', 'degraded']),
        version: z.string(),
        error: z.looseObject({ code: z.string(), message: z.string() }).optional().describe('Why it is degraded.'),
      }),
    statuses: [200, 503],
    handle: ({ context }) => {
      if (!state.isBehind) return { status: 'ok' as const, version }
      const cause = new CageError('database_unusable', 'events wait because the database cannot be written')
      return context.json({ status: 'degraded', version, ...errorBody(cause, newRequestId()) }, 503)
    },
  }),
  route('GET /api/version', {
    role: 'open',
    summary: 'Returns the version.',
    reply: () => z.object({ version: z.string() }),
    handle: () => ({ version }),
  }),
  route('GET /api/openapi.json', {
    role: 'viewer',
    summary: 'Returns the OpenAPI document.',
    reply: () => z.looseObject({ openapi: z.string().describe('Version of the format.') }),
    handle: () => openApiDocument(all(), version),
  }),
]

/** The API as a web application: answers every request, also one for a route that there is not. */
export function api(deps: ApiDeps): Hono<Env> {
  const app = secureApp()
  return serveRoutes(app, apiRoutes(deps), guard(deps))
    .notFound((context) => {
      const { method, path } = context.req
      const methods = methodsOf(app, path)
      if (methods.length === 0 && isBrowser(context)) return context.html(notFoundPage(path), 404)
      if (methods.length === 0) throw new CageError('not_found', `there is no ${method} ${path}`, { hint: ROUTES_HINT })
      context.header('allow', methods.join(', '))
      throw new CageError('method_not_allowed', `${path} supports ${methods.join(', ')}, not ${method}`)
    })
    .onError((error, context) => errorResponse(context, error, deps.onFault, deps.safety.scrub))
}

/** A person who opened an address, rather than a program. */
const isBrowser = ({ req }: Context): boolean =>
  req.method === 'GET' && /\btext\/html\b/.test(req.header('accept') ?? '')

const notFoundPage = (path: string) =>
  html`<!doctype html><html lang="en"><title>Not found · Iron Cage</title><link rel="stylesheet" href="/main.css"><body><main class="nothing"><h2>Page not found</h2><p>There is nothing at <code>${path}</code>.</p><p><a href="/">Dashboard</a></p></main></body></html>`

const ROUTES_HINT = 'GET /api/openapi.json lists every route'

/** The methods of a path's routes; a path that matches literally is not an id. */
function methodsOf({ routes, router }: Hono<Env>, path: string): string[] {
  const methods = [...new Set(routes.map(({ method }) => method))].filter((method) => method !== 'ALL')
  const fitting = methods.flatMap((method) =>
    router
      .match(method, path)[0]
      .map(([[, route]]) => route)
      .filter((route) => route.method === method),
  )
  const own = fitting.filter((route) => route.path === path)
  return [...new Set((own.length > 0 ? own : fitting).map(({ method }) => method))]
}

const TOKEN = /\b(run|code|ticket|refresh|ic)_[\w-]+/g

const recordRefusals =
  (refusals: Refusals) =>
  ({ method, url = '/' }: IncomingMessage, { message, code }: CageError): void => {
    const path = url.split('?', 1)[0]!.replaceAll(TOKEN, '$1_…').slice(0, 200)
    refusals.record({ message, reason: code, route: `${method} ${path}` })
  }

/**
 * Only the live view is upgraded to. Every other request that offers an upgrade is answered over HTTP, by RFC 9110
 * (7.8): Java's HttpClient and curl offer h2c with ordinary calls.
 */
const isLiveView = ({ url, headers }: IncomingMessage): boolean =>
  /^websocket$/i.test(headers.upgrade ?? '') && url?.split('?', 1)[0] === '/ws'
