/** Tools in requests: those that the provider runs, and the vendor's additions for those that it knows. */

import { CageError } from '../core/errors.ts'
import { isObject, type Json, type JsonObject } from './json.ts'

/** Serializes a request for the tokenizer, without its image data. */
export const withoutImages = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) =>
    isObject(part) && typeof part.type === 'string' && IMAGES.has(part.type)
      ? { ...part, image_url: null, source: null }
      : part,
  )

const IMAGES: ReadonlySet<string> = new Set(['image', 'image_url', 'input_image', 'computer_screenshot'])

/** Tools that the provider runs: they cost tokens, and some a price per use. */
const SERVER_TOOL = /^(web_search|web_fetch|file_search|mcp)/
/** Tools that the client runs, or that only refer to others. */
const CLIENT_TOOL =
  /^(function|custom|local_shell|shell$|apply_patch|computer|text_editor|bash|memory|tool_search|namespace)/

/** Returns the provider's own tools of a request. Throws CageError `price_unknown` for a tool with unknown cost. */
export function serverTools(tools: Json | undefined): JsonObject[] {
  return (Array.isArray(tools) ? tools : []).filter((tool): tool is JsonObject => {
    if (!isObject(tool) || typeof tool.type !== 'string') return false
    const { type, environment } = tool
    if (SERVER_TOOL.test(type)) return true
    const isHosted = type === 'shell' && isObject(environment) && /^container/.test(String(environment.type))
    if (isHosted || !CLIENT_TOOL.test(type)) throw unpricedTool(type)
    return false
  })
}

/** Throws CageError `price_unknown` if a request has any tool that its client does not run. */
export function requireClientTools(tools: Json | undefined): void {
  const [tool] = serverTools(tools)
  if (tool) throw unpricedTool(String(tool.type))
}

const unpricedTool = (tool: string): CageError =>
  new CageError('price_unknown', `the cost of the tool "${tool}" is unknown, so the call was not sent`, {
    facts: { tool, field: 'tools' },
    hint: `leave "${tool}" out of "tools"`,
  })

/**
 * Returns the most that a vendor adds to the input for tools of its own, in tokens: Anthropic's overview of tool use
 * (pricing) names 245 for bash, 700 for the text editor, 735 and 499 for the computer.
 */
export const tokensForTools = (tools: Json | undefined): number =>
  (Array.isArray(tools) ? tools : []).reduce<number>(
    (sum, tool) => sum + (isObject(tool) ? ownToolTokens(tool.type) : 0),
    0,
  )

function ownToolTokens(type: Json | undefined): number {
  if (typeof type !== 'string' || type === 'function' || type === 'custom') return 0
  return OWN_TOOLS.find(([name]) => type.startsWith(name))?.[1] ?? UNKNOWN_TOOL
}

const OWN_TOOLS: readonly [name: string, tokens: number][] = [
  ['bash_', 245],
  ['text_editor_', 700],
  ['computer_', 1_234],
]
/** As much as the three together, for a tool without published tokens. */
const UNKNOWN_TOOL = 2_400
