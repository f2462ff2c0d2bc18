/**
 * A scripted provider: a real server on 127.0.0.1 that speaks OpenAI's chat completions and Anthropic's
 * messages, whole and streamed, keeps every request it got, and can be slow, break, cut and lie.
 * Left alone it is polite: it answers 'Hello.' to everybody and counts ten tokens in and five out.
 */
import { once } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  chatChunks,
  chatCompletion,
  chatFrames as framesOf,
  openScriptedProvider,
  type ScriptedProvider,
} from '../../src/booth/scripted-provider.ts'

export type DialectName = 'openai' | 'anthropic'

/** A request as it arrived. */
export interface Received {
  dialect: DialectName
  method: string
  url: string
  headers: IncomingHttpHeaders
  body: string
  /** Resolves when the other side is gone or the answer is complete; true when it left before that. */
  hungUp: Promise<boolean>
}

/** The provider's behavior for one request. */
export type Script = (response: ServerResponse, received: Received) => void | Promise<void>

export class FakeProvider {
  /** Every request, in the order of arrival. */
  readonly requests: Received[] = []
  #server!: ScriptedProvider
  readonly #next: Script[] = []
  readonly #waiting = new Set<() => void>()
  #script: Script = answer()

  static async open(): Promise<FakeProvider> {
    const provider = new FakeProvider()
    provider.#server = await openScriptedProvider((...asked) => provider.#serve(...asked))
    return provider
  }

  get url(): string {
    return this.#server.url
  }

  /** Its behavior from now on, after that of `thenOnce`. */
  does(script: Script): void {
    this.#script = script
  }

  /** Its behavior for the next unplanned request. */
  doesOnce(script: Script): void {
    this.#next.push(script)
  }

  /** Resolves when so many requests have arrived in all. */
  async arrived(count: number): Promise<void> {
    while (this.requests.length < count) await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Stops listening, as a provider does that is down; it can be closed again. */
  close(): Promise<void> {
    return this.#server.close()
  }

  async #serve(request: IncomingMessage, body: string, response: ServerResponse): Promise<void> {
    const received: Received = {
      dialect: request.url!.includes('/messages') ? 'anthropic' : 'openai',
      method: request.method!,
      url: request.url!,
      headers: request.headers,
      body,
      hungUp: new Promise((resolve) => response.once('close', () => resolve(!response.writableFinished))),
    }
    this.requests.push(received)
    for (const resume of this.#waiting) resume()
    this.#waiting.clear()
    await (this.#next.shift() ?? this.#script)(response, received)
  }
}

export interface Saying {
  /** The answer, in the pieces in which it is streamed. (Default: 'Hello.') */
  text?: string | string[]
  /** The model that it names. (Default: 'test'.) */
  model?: string | undefined
  /** The `usage` of the dialect, sent as it is; null sends null, undefined leaves it out. (Default: 10 in, 5 out.) */
  usage?: unknown
}

/** Answers as the dialect of the request wants it, whole or streamed. */
export function answer(saying: Saying = {}): Script {
  return (response, { dialect, body }) => {
    if ((JSON.parse(body || '{}') as { stream?: unknown }).stream === true) {
      return streams(dialect === 'openai' ? chatFrames(saying) : messageFrames(saying))(response)
    }
    return sends(200, { 'content-type': 'application/json' }, whole(dialect, saying))(response)
  }
}

/** The body of a whole answer. */
export function whole(dialect: DialectName, saying: Saying = {}): string {
  return dialect === 'openai'
    ? json(chatCompletion(chatOf(saying)))
    : json({
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        model: saying.model ?? 'test',
        content: [{ type: 'text', text: piecesOf(saying).join('') }],
        stop_reason: 'end_turn',
        stop_sequence: null,
        usage: usageOf(saying, 'anthropic'),
      })
}

/** A streamed chat completion, with the usage-only chunk before [DONE] unless `usage` is undefined. */
export const chatFrames = (saying: Saying = {}): string => framesOf(chatChunks(chatOf(saying)), json).join('')

const chatOf = (saying: Saying) => ({
  model: saying.model ?? 'test',
  pieces: piecesOf(saying),
  usage: usageOf(saying, 'openai'),
})

/** A streamed message. `usage` is that of message_delta; message_start reports the input and one token of output. */
export function messageFrames(saying: Saying = {}): string {
  const frame = (event: { type: string; [key: string]: unknown }) => `event: ${event.type}\ndata: ${json(event)}\n\n`
  const usage = usageOf(saying, 'anthropic')
  const input = (usage as { input_tokens?: unknown } | undefined)?.input_tokens ?? 10
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: saying.model ?? 'test', content: [] }
  return [
    frame({ type: 'message_start', message: { ...message, usage: { input_tokens: input, output_tokens: 1 } } }),
    frame({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
    frame({ type: 'ping' }),
    ...piecesOf(saying).map((text) =>
      frame({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
    ),
    frame({ type: 'content_block_stop', index: 0 }),
    frame({ type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage }),
    frame({ type: 'message_stop' }),
  ].join('')
}

/** One whole answer of any kind. */
export const sends =
  (status: number, headers: Record<string, string> = {}, body: string | object = ''): ((r: ServerResponse) => void) =>
  (response) => {
    response.writeHead(status, headers)
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }

/** What becomes of a connection after its last byte. */
export type Ending = 'ends' | 'resets' | 'hangs'

/** An event stream in given pieces, each in a separate write. */
export const streams =
  (
    pieces: string | Iterable<string | Buffer>,
    ending: Ending = 'ends',
    type = 'text/event-stream',
  ): ((r: ServerResponse) => Promise<void>) =>
  async (response) => {
    response.writeHead(200, { 'content-type': type })
    response.flushHeaders()
    for (const piece of typeof pieces === 'string' ? [pieces] : pieces) {
      await writeInTurn(response, piece)
      if (response.destroyed) return
      await nextTurn()
    }
    if (ending === 'ends') response.end()
    // Once the bytes have left: a reset may overtake what still waits.
    if (ending === 'resets') setTimeout(() => response.socket?.resetAndDestroy(), 20)
  }

/** Writes a piece; resolves when the client has room for another, or has left. */
export async function writeInTurn(response: ServerResponse, piece: string | Buffer): Promise<void> {
  if (response.write(piece) || response.destroyed) return
  const settled = new AbortController()
  const either = ['drain', 'close'].map((event) => once(response, event, { signal: settled.signal }))
  await Promise.race(either).finally(() => settled.abort())
}

/** Takes the request and never answers. */
export const hangs: Script = () => undefined

/** Takes the request and breaks the connection. */
export const resets: Script = (response) => void response.socket?.resetAndDestroy()

const piecesOf = ({ text = 'Hello.' }: Saying): string[] => (typeof text === 'string' ? [text] : text)

const usageOf = (saying: Saying, dialect: DialectName): unknown =>
  'usage' in saying
    ? saying.usage
    : dialect === 'openai'
      ? { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
      : { input_tokens: 10, output_tokens: 5 }

/** JSON in which `rawNumber` may stand for what no number of JavaScript is, e.g. 1e309. */
const json = (value: unknown): string => JSON.stringify(value).replace(/"raw:([^"]+)"/g, '$1')
export const rawNumber = (text: string): string => `raw:${text}`
