/** The dashboard's files, read once from the package: only built files are served, so no path can escape. */
import { readdirSync, readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'

const TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
}

/** No inline scripts, nothing from other origins, no framing. */
export const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const

/** Reports have their own addresses on the same page. */
const REPORT = /^\/(?:reports\/[\w-]+|shared)$/

/** Answers a GET for the dashboard; returns false when there is no such file. */
export type Assets = (request: IncomingMessage, response: ServerResponse) => boolean

export function loadAssets(folder: string): Assets {
  const files = new Map(readdirSync(folder).map((name) => [`/${name}`, readFileSync(join(folder, name))]))
  return (request, response) => {
    const path = request.url?.split('?', 1)[0] ?? '/'
    const name = path === '/' || REPORT.test(path) ? '/index.html' : path
    const file = files.get(name)
    if (!file || (request.method !== 'GET' && request.method !== 'HEAD')) return false
    response.writeHead(200, {
      ...SECURITY_HEADERS,
      'content-type': TYPES[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream',
      'content-length': file.length,
      'cache-control': 'no-cache',
    })
    response.end(request.method === 'HEAD' ? undefined : file)
    return true
  }
}
