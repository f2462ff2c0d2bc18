/**
 * Routes of a dialect: an exact list. A path is normalized before the lookup, and the normalized path is sent, so that
 * no path can mean one thing here and another at the provider.
 *
 * The rules are:
 * - Slashes are collapsed, and the version is removed, as is the prefix that some vendors put before it.
 * - Dot segments and backslashes are refused, at any level of escaping.
 * - Other escapes, escaped slashes included, are allowed only in a slot: `{model}` takes a model name with its vendor's
 *   path, `{id}` an id. Slots are sent verbatim.
 */
import { CageError } from '../errors.ts'
import type { Route, RouteRule } from './dialect.ts'

/** Normalizes a path for the lookup: single slashes, no version. Throws CageError `bad_request`. */
export function normalizePath(path: string): string {
  requirePlain(path)
  return (
    path
      .replace(/\/{2,}/g, '/')
      .replace(PREFIX, '')
      .replace(VERSIONS, '') || '/'
  )
}

/** Prefixes before a version, as the vendors' own clients send them: api.groq.com/openai/v1, openrouter.ai/api/v1 … */
const PREFIX = /^\/(openai|api|inference|anthropic)(?=\/v1(\/|$))/
/** Clients send it zero, one or two times. */
const VERSIONS = /^(\/v1(?=\/|$))+/

/** Throws CageError `bad_request` for a path that leads outside, even after repeated decoding. */
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
  new CageError('bad_request', 'the path has dot segments, backslashes or invalid escapes', {
    facts: { field: 'path' },
    hint: 'send the path as the API documents it',
  })

/** Returns the route of a normalized path; `blocked` if it is not on the list. */
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

/** Model names have dots, colons and a vendor's path, which clients may escape. */
const NAME = '(?:[\\w.:@~+-]|%(?:2D|2E|3A|40|2B)){1,200}'
const MODEL = `${NAME}(?:(?:/|%2F)${NAME}){0,4}`.replaceAll('%2F', '%2[Ff]').replaceAll('3A', '3[Aa]')
const ID = '(?:[\\w.:-]|%3[Aa]){1,200}'
