/**
 * Routes of a dialect: an exact list. A path is normalized before the lookup, and the normalized path is sent, so that
 * no path can mean one thing here and another at the provider.
 *
 * The rules are:
 * - Slashes are collapsed, and the dialect's prefix (a version, and what some vendors put before it) is split off.
 * - Dot segments and backslashes are refused, at any level of escaping.
 * - Other escapes, escaped slashes included, are allowed only in a slot: `{model}` takes a model name with its vendor's
 *   path, `{id}` an id. Slots are sent verbatim.
 * - A call whose route has a `{model}` is a call of that model, even if its body names another.
 */
import { CageError } from '../core/errors.ts'
import type { Dialect, Route, RouteRule } from './dialect.ts'

/** A path as it is looked up, and the prefix sent before it. */
export interface RoutePath {
  prefix: string
  path: string
}

/** Normalizes a path for the lookup: single slashes, no prefix. Throws CageError `bad_request`. */
export function normalizePath(given: string, { prefix, prefixFor }: Pick<Dialect, 'prefix' | 'prefixFor'>): RoutePath {
  if (!PLAIN.test(given)) requireInside(given)
  const single = given.replace(/\/{2,}/g, '/')
  const sent = prefix.exec(single)?.[0] ?? ''
  const path = single.slice(sent.length) || '/'
  return { path, prefix: prefixFor(sent, path) }
}

/** Most paths: nothing in them leads anywhere else, or is an escape. */
const PLAIN = /^[\w/-]*$/

/** Throws CageError `bad_request` for a path that leads outside, even after repeated decoding. */
function requireInside(path: string): void {
  for (let text = path, depth = 0; ; depth++) {
    const isOut = text.split(/[/;]/).some((part) => part === '.' || part === '..') || /[\\\p{Cc}]/u.test(text)
    if (isOut || depth > MAX_ESCAPES) throw outOfPath()
    const next = text.includes('%') ? decoded(text) : text
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

export interface FoundRoute {
  route: Route
  /** The model that the path names, as sent, and its position; undefined if the body names it. */
  model: { name: string; at: number } | undefined
}

/** Returns the route of a normalized path; `blocked` if it is not on the list. */
export function findRoute(rules: readonly RouteRule[], method: string, path: string, isVendors: boolean): FoundRoute {
  for (const rule of rules) {
    if (rule.method !== method || (rule.onlyVendors && !isVendors)) continue
    const match = patternOf(rule.path).exec(path)
    if (!match) continue
    const name = match.groups?.model
    return { route: rule.route, model: name === undefined ? undefined : { name, at: match.indices!.groups!.model![0] } }
  }
  return BLOCKED
}

/** Returns whether a normalized path is one that a template with slots means. */
export const pathMatches = (template: string, path: string): boolean => patternOf(template).test(path)

const BLOCKED: FoundRoute = { route: 'blocked', model: undefined }

const PATTERNS = new Map<string, RegExp>()

function patternOf(template: string): RegExp {
  const known = PATTERNS.get(template)
  if (known) return known
  const literal = template.replace(/[.*+?^$()|[\]\\]/g, '\\$&')
  const source = literal.replace('{model}', () => `(?<model>${MODEL})`).replaceAll('{id}', () => ID)
  const pattern = new RegExp(`^${source}$`, source === literal ? '' : 'd')
  PATTERNS.set(template, pattern)
  return pattern
}

/** Model names have dots, colons and a vendor's path, which clients may escape. */
const NAME = '(?:[\\w.:@~+-]|%(?:2D|2E|3A|40|2B)){1,200}'
const MODEL = `${NAME}(?:(?:/|%2F)${NAME}){0,4}`.replaceAll('%2F', '%2[Ff]').replaceAll('3A', '3[Aa]')
const ID = '(?:[\\w.:-]|%3[Aa]){1,200}'
