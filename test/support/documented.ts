/** Compares replies of the API with the OpenAPI document of their route. */
import { Ajv2020 } from 'ajv/dist/2020.js'

export interface Reply {
  status: number
  headers: Record<string, string>
  json(): unknown
}

interface Response {
  $ref?: string
  content?: Record<string, object>
}

interface Operation {
  responses: Record<string, Response>
}

export interface ApiDocument {
  paths: Record<string, Record<string, Operation>>
  components: { responses: Record<string, Response> }
}

/** Why a reply is not as documented; undefined if it is, or if its route is not of the API. */
export type Compare = (method: string, url: string, reply: Reply) => string | undefined

export function compareWith(document: ApiDocument): Compare {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true }).addSchema(document, 'api')
  // A path that matches literally is not an id.
  const templates = Object.keys(document.paths).sort((a, b) => a.split('{').length - b.split('{').length)
  const patterns = templates.map((path) => [path, new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`)] as const)
  return (method, url, reply) => {
    const { pathname } = new URL(url)
    const path = patterns.find(([, pattern]) => pattern.test(pathname))?.[0]
    const verb = method.toLowerCase()
    const operation = path === undefined ? undefined : document.paths[path]?.[verb]
    if (path === undefined || !operation) return undefined
    const where = `${method} ${path} answers ${reply.status}`
    const named = String(reply.status) in operation.responses ? String(reply.status) : 'default'
    const response = operation.responses[named]!
    const type = reply.headers['content-type']?.split(';')[0]
    const isShared = response.$ref !== undefined
    const { content } = isShared ? document.components.responses.AnyRoute! : response
    if (type === undefined) return content ? `${where} without a body` : undefined
    if (!content?.[type]) return `${where} with ${type}, which is not documented`
    if (type !== 'application/json') return undefined
    const place = isShared ? ['components', 'responses', 'AnyRoute'] : ['paths', path, verb, 'responses', named]
    const pointer = [...place, 'content', type, 'schema'].map((part) =>
      encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1')),
    )
    const validate = ajv.getSchema(`api#/${pointer.join('/')}`)
    if (!validate) return `${where}, which has no schema`
    if (validate(reply.json())) return undefined
    const problems = validate.errors!.map(
      ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
    )
    return `${where} as not documented: ${[...new Set(problems)].slice(0, 8).join('; ')}`
  }
}
