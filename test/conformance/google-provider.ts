/**
 * Google's Gemini API as it answers: generateContent whole, as an event stream and as a JSON array, embeddings, token
 * counts. Like the real one it refuses unknown fields, a request without a key, and a call without its signature.
 */
import type { ServerResponse } from 'node:http'
import { type Received, type Script, sends, streams } from '../support/provider.ts'
import { SIGNATURE, type Turn, USED } from './turn.ts'

interface Asked {
  /** False for what only looks around. */
  isTurn: boolean
  /** The answer as it is streamed. */
  frames: string[]
  answer(response: ServerResponse): ReturnType<Script>
}

/** Returns Google's answer to a request; undefined for one of another dialect. */
export function askGoogle({ method, url, headers, body }: Received, turn: Turn): Asked | undefined {
  const { pathname, searchParams } = new URL(url, 'http://provider')
  const match = /^\/v1(?:beta)?\/models(?:\/([^:]+):(\w+))?$/.exec(pathname)
  if (!match || (method === 'GET' && !headers['x-goog-api-key'])) return undefined
  const request = JSON.parse(body || '{}') as JsonObject
  const fault = faultIn(request, headers['x-goog-api-key'])
  const json = (value: object) => (response: ServerResponse) => sends(200, JSON_TYPE, value)(response)
  const [, model = '', action] = match
  const frames = framesOf(turn, model)
  const isTurn = /generateContent$/i.test(action ?? '')
  const looking = { isTurn: false, frames: [] }
  if (fault) return { ...looking, answer: sends(fault.code, JSON_TYPE, { error: fault }) }
  switch (action) {
    case undefined:
      return { ...looking, answer: json({ models: [{ name: 'models/gemini-2.5-flash' }] }) }
    case 'countTokens':
      return { ...looking, answer: json({ totalTokens: USED.input }) }
    case 'batchEmbedContents': {
      const embeddings = (request.requests as object[]).map(() => ({ values: [0.25, -0.5, 1] }))
      return { ...looking, answer: json({ embeddings, usageMetadata: { promptTokenCount: USED.input } }) }
    }
    case 'generateContent':
      return { isTurn, frames: [], answer: json(reply(model, partsOf(turn, false), turn, 'STOP')) }
    default: {
      const events = frames.map((frame) => `data: ${frame}\r\n\r\n`)
      const array = frames.map(
        (frame, at) => `${at === 0 ? '[' : ',\r\n'}${frame}${at === frames.length - 1 ? ']' : ''}`,
      )
      const isSse = searchParams.get('alt') === 'sse'
      return { isTurn, frames: isSse ? events : array, answer: isSse ? streams(events) : streamsJson(array) }
    }
  }
}

type JsonObject = Record<string, unknown>
type Part = JsonObject & { functionCall?: object; thoughtSignature?: string }

const JSON_TYPE = { 'content-type': 'application/json; charset=UTF-8' }

const streamsJson = (pieces: string[]) => (response: ServerResponse) => {
  response.writeHead(200, JSON_TYPE)
  for (const piece of pieces) response.write(piece)
  response.end()
}

const KNOWN = new Set(
  'contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent requests content'.split(
    ' ',
  ),
)

function faultIn(request: JsonObject, key: unknown): { code: number; message: string; status: string } | undefined {
  if (!key) return { code: 403, message: 'Method doesn’t allow unregistered callers.', status: 'PERMISSION_DENIED' }
  const unknown = Object.keys(request).find((name) => !KNOWN.has(name))
  const refused = (message: string) => ({ code: 400, message, status: 'INVALID_ARGUMENT' })
  if (unknown) return refused(`Invalid JSON payload received. Unknown name "${unknown}": Cannot find field.`)
  const parts = ((request.contents ?? []) as { parts: Part[] }[]).flatMap((content) => content.parts)
  const calls = parts.filter(({ functionCall }) => functionCall)
  const isUnsigned = parts.some(({ thought }) => thought) && !isSignature(calls[0]?.thoughtSignature)
  if (isUnsigned) return refused('Function call is missing a thought_signature in functionCall parts.')
  return undefined
}

/** Base64 of any alphabet. */
const isSignature = (text: string | undefined): boolean =>
  text !== undefined && Buffer.from(text, 'base64').equals(Buffer.from(SIGNATURE, 'base64'))

const usageOf = ({ used = USED }: Turn) => ({
  promptTokenCount: used.input,
  candidatesTokenCount: used.output,
  totalTokenCount: used.input + used.output,
  promptTokensDetails: [{ modality: 'TEXT', tokenCount: used.input }],
})

const reply = (model: string, parts: Part[], turn: Turn, finishReason?: string) => ({
  candidates: [{ content: { parts, role: 'model' }, ...(finishReason && { finishReason }), index: 0 }],
  usageMetadata: usageOf(turn),
  modelVersion: model,
  responseId: 'response_1',
})

/** `isCut`: each piece of a text is a separate part. */
function partsOf({ thinking = [], text = [], calls = [] }: Turn, isCut: boolean): Part[] {
  const cut = (pieces: string[]) => (isCut || pieces.length === 0 ? pieces : [pieces.join('')])
  return [
    ...cut(thinking).map((piece) => ({ text: piece, thought: true })),
    ...cut(text).map((piece) => ({ text: piece })),
    ...calls.map(({ name, arguments: pieces }) => ({
      functionCall: { name, args: JSON.parse(pieces.join('')) as object },
      ...(thinking.length > 0 && { thoughtSignature: SIGNATURE }),
    })),
  ]
}

function framesOf(turn: Turn, model: string): string[] {
  const parts = partsOf(turn, true)
  return [
    ...parts.map((part) => reply(model, [part], { ...turn, used: { input: USED.input, output: 1 } })),
    reply(model, [{ text: '' }], turn, 'STOP'),
  ].map((frame) => JSON.stringify(frame))
}
