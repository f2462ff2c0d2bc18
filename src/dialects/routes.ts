/**
 * Routes of a dialect: an exact list. A path is brought into one form before it is looked up, and what is sent is what was
 * found, so that no path can mean one thing here and another at the provider.
 *
 * The rules are:
 * - Slashes are collapsed and a version, or the prefix that some vendors put before it, is left out.
 * - Dot segments and backslashes are refused, however often they are escaped.
 * - Anything else that is escaped, and a slash that is, stands only in a slot: `{model}` takes the name of a model with the
 *   path of its vendor, `{id}` an id. What is sent in a slot is what came.
 */
import { CageError } from '../errors.ts'
import type { Route } from './dialect.ts'

export interface RouteRule {
  method: 'GET' | 'POST' | 'DELETE'
  /** Below the version, e.g. "/models/{model}". */
  path: string
  route: Route
  /** Free at the vendor's own provider; others charge for it. */
  onlyVendors?: true
}

/** The path as it is looked up: one slash between its parts, no version. Throws CageError `bad_request`. */
export function normalizePath(path: string): string {
  requirePlain(path)
  return (
    path
      .replace(/\/{2,}/g, '/')
      .replace(PREFIX, '')
      .replace(VERSIONS, '') || '/'
  )
}

/** Before a version, as the vendors' own clients send it: api.groq.com/openai/v1, openrouter.ai/api/v1 … */
const PREFIX = /^\/(openai|api|inference|anthropic)(?=\/v1(\/|$))/
/** Clients put it there never, once or twice. */
const VERSIONS = /^(\/v1(?=\/|$))+/

/** Throws CageError `bad_request` for what leads out of a path, also after every further decoding. */
function requirePlain(path: string): void {
  for (let text = path, depth = 0; ; depth++) {
    const isOut = text.split(/[/;]/).some((part) => part === '.' || part === '..') || /[\\\p{Cc}]/u.test(text)
    if (isOut || depth > MAX_ESCAPES) throw outOfPath()
    const next = decoded(text)
    if (next === text) return
    text = next
  }
}

const MAX_ESCAPES = 5

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw outOfPath()
  }
}

const outOfPath = (): CageError =>
  new CageError('bad_request', 'the path has dot segments, backslashes or escapes that are none', {
    facts: { field: 'path' },
    hint: 'send the path as the API documents it',
  })

/** What a path is by the list; `blocked` for what is not on it. `path`: as `normalizePath` gives it. */
export function findRoute(rules: readonly RouteRule[], method: string, path: string, isVendors: boolean): Route {
  const rule = rules.find((one) => one.method === method && patternOf(one.path).test(path))
  return rule && (isVendors || !rule.onlyVendors) ? rule.route : 'blocked'
}

const PATTERNS = new Map<string, RegExp>()

function patternOf(template: string): RegExp {
  const known = PATTERNS.get(template)
  if (known) return known
  const pattern = new RegExp(`^${template.replace('{model}', MODEL).replace('{id}', ID)}$`)
  PATTERNS.set(template, pattern)
  return pattern
}

/** Names of models have dots, colons and the path of a vendor, and clients may escape them. */
const NAME = '(?:[\\w.:@~+-]|%(?:2D|2E|3A|40|2B)){1,200}'
const MODEL = `${NAME}(?:(?:/|%2F)${NAME}){0,4}`.replaceAll('%2F', '%2[Ff]').replaceAll('3A', '3[Aa]')
const ID = '(?:[\\w.:-]|%3[Aa]){1,200}'
