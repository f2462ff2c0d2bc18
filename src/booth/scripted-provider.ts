/**
 * A scripted provider: a real server, on loopback only, for the booth, the demo, tests and benchmarks. The format of
 * chat completions is here once.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

export interface ScriptedProvider {
  /** http://127.0.0.1:<port> */
  url: string
  port: number
  /** Stops listening and ends all connections. Idempotent. */
  close(): Promise<void>
}

/** Called for requests that arrived in full; when it throws, the connection is broken. */
export type Script = (request: IncomingMessage, body: string, response: ServerResponse) => void | Promise<void>

export async function openScriptedProvider(script: Script): Promise<ScriptedProvider> {
  // Connections stay open: one that is given up in the moment of a call would be an unwanted failure.
  const server = createServer({ noDelay: true, keepAliveTimeout: 300_000 }, (request, response) => {
    buffer(request)
      .then((body) => script(request, body.toString(), response))
      .catch((error: Error) => response.destroy(error))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    async close() {
      if (!server.listening) return
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** One answer to a chat, in OpenAI's format. */
export interface ScriptedChat {
  /** (Default: 'chatcmpl-1'.) */
  id?: string
  /** Seconds since 1970. (Default: one of 2023.) */
  created?: number
  model: string
  /** The text, in the pieces in which it is streamed. */
  pieces: readonly string[]
  /** Undefined leaves it out. */
  usage: unknown
}

const headOf = ({ id = 'chatcmpl-1', created = 1_700_000_000, model }: ScriptedChat) => ({ id, created, model })

export function chatCompletion(chat: ScriptedChat): object {
  const message = { role: 'assistant', content: chat.pieces.join(''), refusal: null }
  const choices = [{ index: 0, message, finish_reason: 'stop' }]
  return { ...headOf(chat), object: 'chat.completion', choices, usage: chat.usage }
}

/** The chunks of a streamed answer: the role, each piece, the end, and the usage. */
export function chatChunks(chat: ScriptedChat): object[] {
  const chunk = (more: object) => ({ ...headOf(chat), object: 'chat.completion.chunk', ...more })
  const delta = (fields: object, finish_reason: string | null = null) =>
    chunk({ choices: [{ index: 0, delta: fields, finish_reason }] })
  return [
    delta({ role: 'assistant', content: '' }),
    ...chat.pieces.map((content) => delta({ content })),
    delta({}, 'stop'),
    ...(chat.usage === undefined ? [] : [chunk({ choices: [], usage: chat.usage })]),
  ]
}

/** The frames of an event stream; [DONE] is one of them. */
export const chatFrames = (
  chunks: readonly object[],
  stringify: (chunk: object) => string = JSON.stringify,
): string[] => [...chunks.map(stringify), '[DONE]'].map((data) => `data: ${data}\n\n`)

export function sendJson(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}
