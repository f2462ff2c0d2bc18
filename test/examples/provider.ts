/**
 * What the simulated providers say to the examples: a book, keyed on what is asked. Nothing is counted between requests:
 * the same conversation gets the same answer, whoever asks beside it. Formats are those of `../conformance/provider.ts`.
 */
import { plays } from '../conformance/provider.ts'
import type { Turn } from '../conformance/turn.ts'
import { type Script, sends } from '../support/provider.ts'
import { BOOK, type Page } from './book.ts'

/** Answers every request as the book says; what is not in the book is a mistake of the example, and reported as one. */
export const answersByTheBook: Script = (response, received) => {
  const request = JSON.parse(received.body || '{}') as Request
  if (received.url.endsWith('/embeddings')) {
    return sends(200, { 'content-type': 'application/json' }, embeddings(request))(response)
  }
  const turn = turnFor(conversationOf(request))
  if (turn) return plays(turn)(response, received)
  const error = { message: 'the book of the examples has no answer to this', type: 'invalid_request_error' }
  return sends(400, { 'content-type': 'application/json' }, { type: 'error', error })(response)
}

interface Request {
  model?: string
  /** Of chat completions and messages. */
  messages?: Said[]
  /** Of responses, as text or messages; of embeddings, the texts. */
  input?: string | string[] | Said[]
  encoding_format?: string
}

interface Said {
  role?: string
  type?: string
  content?: string | { type: string; text?: string }[] | null
  tool_calls?: unknown[]
}

interface Line {
  /** Nothing for what a tool or the model said. */
  asked: string
  /** The model asked for tools here. */
  isCall: boolean
}

function conversationOf({ messages, input = [] }: Request): Line[] {
  const said = messages ?? (typeof input === 'string' ? [{ role: 'user', content: input }] : (input as Said[]))
  return said.map((one) => {
    const parts = typeof one.content === 'string' ? [{ type: 'text', text: one.content }] : (one.content ?? [])
    const isCall = Boolean(one.tool_calls?.length) || parts.some(({ type }) => type === 'tool_use')
    const asked = one.role === 'user' ? parts.map(({ text }) => text ?? '').join('\n') : ''
    return { asked, isCall: isCall || one.type === 'function_call' }
  })
}

/** The page that was opened last: in a long conversation the newest question counts. Its turns follow the calls of tools. */
function turnFor(lines: Line[]): Turn | undefined {
  let open: { page: Page; line: number; at: number } | undefined
  for (const [line, { asked }] of lines.entries()) {
    for (const page of BOOK) {
      const at = asked.search(page.asked)
      if (at >= 0 && !(open && open.line === line && open.at > at)) open = { page, line, at }
    }
  }
  if (!open) return undefined
  const calls = lines.slice(open.line).filter(({ isCall }) => isCall).length
  return open.page.turns[Math.min(calls, open.page.turns.length - 1)]
}

/** Texts with the same words are near each other: each word counts in one of 64 directions. */
function embeddings({ model, input, encoding_format }: Request): object {
  const data = [input as string | string[]].flat().map((text, index) => {
    const vector = new Float32Array(64)
    for (const word of text.toLowerCase().match(/[a-z]{4,}/g) ?? []) vector[directionOf(word)]! += 1
    const length = Math.hypot(...vector) || 1
    const unit = vector.map((value) => value / length)
    const embedding = encoding_format === 'base64' ? Buffer.from(unit.buffer).toString('base64') : [...unit]
    return { object: 'embedding', index, embedding }
  })
  const tokens = data.length * 8
  return { object: 'list', data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } }
}

function directionOf(word: string): number {
  let sum = 7
  for (const letter of word) sum = (sum * 31 + letter.charCodeAt(0)) % 1_000_003
  return sum % 64
}
