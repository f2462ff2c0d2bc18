/**
 * The built product as a server, and every operation of its OpenAPI document called once: with a body made from the
 * schema, with the role that the operation names, and about existing things.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type ApiDocument, compareWith } from './documented.ts'
import { send, until } from './runtime.ts'

type Json = Record<string, unknown>

interface Operation {
  'x-role': string
  parameters?: { name: string; in: string }[]
  requestBody?: { content: Record<string, { schema: Json }> }
}

export interface BuiltServer {
  url: string
  /** The operator's. */
  token: string
  folder: string
}

const MASTER_KEY = 'q7m1Zr0WkGk2nX4t8vB3yD6fH9jL5pS0'

/** `program`: the program that is started with "serve", in `folder`. It ends with the test. */
export async function serveBuilt(
  [program, ...words]: readonly [string, ...string[]],
  folder: string,
  env: Record<string, string | undefined> = { PATH: process.env.PATH, HOME: folder },
): Promise<BuiltServer> {
  writeFileSync(join(folder, 'master.key'), MASTER_KEY, { mode: 0o600 })
  const child = spawn(program, [...words, 'serve', '--port', '0', '--until-stdin-ends'], {
    cwd: folder,
    env: { ...env, IRON_CAGE_MASTER_KEY_FILE: 'master.key' },
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  const ended = once(child, 'exit')
  onTestFinished(async () => {
    child.stdin.end()
    await ended
  })
  const file = join(folder, 'iron_state.db.server')
  const read = () => (existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as BuiltServer) : undefined)
  await until(() => child.exitCode !== null || !!read()?.url, 'the server listens')
  const { url, token } = read()!
  return { url: url.replace('localhost', '127.0.0.1'), token, folder }
}

/** Waits to be stopped. */
const AGENT = 'import time; time.sleep(3600)'

export interface Answered {
  status: number
  /** How the reply differs from the document. */
  difference: string | undefined
}

/** By "METHOD /path" of each operation. */
export async function callEveryRoute(server: BuiltServer): Promise<Map<string, Answered>> {
  const ask = (method: string, path: string, body?: unknown, token = server.token) =>
    send(server.url + path, {
      method: method as 'GET',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
  const created = async (path: string, body: unknown) => (await ask('POST', path, body)).json() as { id: string }
  const script = join(server.folder, 'agent.py')
  writeFileSync(script, AGENT)
  const agent = (await ask('POST', '/api/agents', { script })).json() as { agent: { id: string } }
  const client = (await ask('POST', '/api/tokens', { name: 'client' })).json() as { token: string }
  await ask('POST', '/api/run/charges', { service: 'search', cost_usd: '0.01' }, client.token)
  const { calls } = (await ask('GET', '/api/calls')).json() as { calls: { id: string }[] }
  const link = (await ask('POST', `/api/agents/${agent.agent.id}/report/links`, {})).json() as Record<string, string>
  const values: Record<string, string> = {
    'calls/{id}': calls[0]!.id,
    'agents/{id}': agent.agent.id,
    'agent/{id}': agent.agent.id,
    'secrets/{id}': (await created('/api/secrets', { name: 'KEY', environment: 'production', value: 'value' })).id,
    'tokens/{id}': (await created('/api/tokens', { name: 'looker', role: 'viewer' })).id,
    'users/{id}': (await created('/api/users', { username: 'ada', password: 'correct horse battery' })).id,
    'alerts/{id}': ((await ask('POST', '/api/alerts/test')).json() as { alert_id: string }).alert_id,
    'circuits/{name}': 'openai',
    'models/{name}': 'openai',
    'schemas/{name}': 'event',
    'budgets/{scope}': 'server',
    'links/{id}': link.id!,
  }
  const document = (await ask('GET', '/api/openapi.json')).json() as unknown as ApiDocument & {
    paths: Record<string, Record<string, Operation>>
  }
  const compare = compareWith(document)
  const answered = new Map<string, Answered>()
  for (const [method, template, operation] of inOrder(document.paths)) {
    const path = template.replace(/(\w+)\/\{\w+\}/g, (named, folder) => `${folder}/${values[named] ?? 'nothing'}`)
    const schema = operation.requestBody?.content['application/json']?.schema
    const body = schema && { ...(sample(schema) as Json), ...(template === '/api/agents' && { script }) }
    const token =
      template === '/api/shared-report' ? link.token : operation['x-role'] === 'agent' ? client.token : server.token
    const reply = await ask(method, path, body, token)
    const difference = compare(method, server.url + path, reply)
    answered.set(`${method} ${template}`, { status: reply.status, difference })
  }
  return answered
}

/** The failures, the missing replies, and the replies that differ from the documentation. */
export const badlyAnswered = (answered: ReadonlyMap<string, Answered>): Record<string, number | string> =>
  Object.fromEntries(
    [...answered]
      .filter(
        ([route, { status, difference }]) =>
          difference !== undefined || status >= 500 || (route.startsWith('GET ') && status !== 200),
      )
      .map(([route, { status, difference }]) => [route, difference ?? status]),
  )

/** No content was kept and nothing was found, so there is neither; secrets are for agents that Iron Cage runs. */
export const REFUSED_READS = {
  'GET /api/calls/{id}/content': 404,
  'GET /api/pii/incidents/{id}/original': 404,
  'GET /api/run/budget-requests/{id}': 404,
  'GET /api/run/secrets': 403,
}

/** Routes that create something come first and those that end something last, so that the others find it. */
function inOrder(paths: Record<string, Record<string, Operation>>): [string, string, Operation][] {
  const all = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]): [string, string, Operation] => [
      method.toUpperCase(),
      path,
      operation,
    ]),
  )
  const ends = ([method, path]: [string, string, Operation]) =>
    method === 'DELETE' ? 3 : /\/(stop|end|logout|pause|restart)$/.test(path) ? 2 : method === 'GET' ? 1 : 0
  return all.sort((a, b) => ends(a) - ends(b))
}

/** The smallest value that a JSON schema takes. */
function sample(schema: Json): unknown {
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0]
  if ('default' in schema) return schema.default
  const one = ((schema.anyOf ?? schema.oneOf) as Json[] | undefined)?.[0]
  if (one) return sample(one)
  const {
    type,
    properties = {},
    required = [],
  } = schema as {
    type?: string | string[]
    properties?: Record<string, Json>
    required?: string[]
  }
  switch ([type].flat()[0]) {
    case 'object':
      return Object.fromEntries(required.map((name) => [name, sample(properties[name]!)]))
    case 'array':
      return []
    case 'integer':
    case 'number':
      return schema.minimum ?? 1
    case 'boolean':
      return true
    case 'string':
      return '1'.padEnd((schema.minLength as number | undefined) ?? 1, '1')
    default:
      return null
  }
}
