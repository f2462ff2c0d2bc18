/** A collector of OpenTelemetry: keeps the requests, and reads them with the protobuf classes of PyPI. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { until } from '../support/runtime.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const SIGNALS: Readonly<Record<string, string>> = { '/v1/traces': 'traces', '/v1/metrics': 'metrics' }

export type Message = { signal: string; body: Uint8Array; headers: IncomingHttpHeaders }

export interface ReadSpan {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: Record<string, unknown>
  status?: { code?: string; message?: string }
}

export interface Collector extends AsyncDisposable {
  url: string
  messages: Message[]
  /** Status of its replies by path; 200 where there is none. */
  status: Record<string, number>
  /** Resolves once it has so many spans, in the order of arrival. */
  spans(count: number): Promise<ReadSpan[]>
  /** The decoded requests. */
  read(): Promise<Decoded[]>
  /** Keeps the next message of traces without an answer until it is released. */
  hold(): Promise<{ headers: IncomingHttpHeaders; release: () => void }>
}

export async function openCollector(port = 0): Promise<Collector> {
  const messages: Message[] = []
  const status: Record<string, number> = {}
  let holder: ((held: Awaited<ReturnType<Collector['hold']>>) => void) | undefined
  const server = createServer(async (request, response) => {
    const path = request.url!
    const body = gunzipSync(await buffer(request))
    const answered = status[path] ?? (path in SIGNALS ? 200 : 404)
    if (answered === 200) messages.push({ signal: SIGNALS[path]!, body, headers: request.headers })
    if (holder && SIGNALS[path] === 'traces') {
      const { promise, resolve: release } = Promise.withResolvers<void>()
      holder({ headers: request.headers, release })
      holder = undefined
      await promise
    }
    response.writeHead(answered).end()
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    messages,
    status,
    async spans(count) {
      let spans: ReadSpan[] = []
      await until(async () => {
        spans = spansOf(await decode(messages.filter(({ signal }) => signal === 'traces')))
        return spans.length >= count
      }, `${count} spans are at the collector`)
      return spans
    },
    read: () => decode(messages),
    hold: () =>
      new Promise((held) => {
        holder = held
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
}

type KeyValue = { key: string; value: Record<string, unknown> }
export type Decoded = Record<string, never>

/** Reads messages with Python. Rejects for a message that it cannot read, or of which it does not know a field. */
export async function decode(messages: readonly Pick<Message, 'signal' | 'body'>[]): Promise<Decoded[]> {
  if (messages.length === 0) return []
  const python = spawn(join(ROOT, '.venv-test/bin/python'), [join(import.meta.dirname, 'decode.py')])
  const said = Promise.all([text(python.stdout), text(python.stderr), once(python, 'exit')])
  python.stdin.end(messages.map(({ signal, body }) => `${signal} ${Buffer.from(body).toString('base64')}\n`).join(''))
  const [lines, problem, [code]] = await said
  if (code !== 0) throw new Error(problem)
  return lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Decoded)
}

const hex = (base64: string): string => Buffer.from(base64, 'base64').toString('hex')

export function spansOf(decoded: readonly Decoded[]): ReadSpan[] {
  type Wire = { resourceSpans?: { scopeSpans: { spans: (ReadSpan & { attributes?: KeyValue[] })[] }[] }[] }
  return (decoded as unknown as Wire[])
    .flatMap(({ resourceSpans = [] }) => resourceSpans)
    .flatMap(({ scopeSpans }) => scopeSpans)
    .flatMap(({ spans }) => spans)
    .map(({ traceId, spanId, parentSpanId, attributes, ...span }) => ({
      ...span,
      traceId: hex(traceId),
      spanId: hex(spanId),
      ...(parentSpanId !== undefined && { parentSpanId: hex(parentSpanId) }),
      attributes: valuesOf(attributes as unknown as KeyValue[] | undefined),
    }))
}

/** Numbers as numbers, although JSON has 64 bits as text. */
export const valuesOf = (attributes: readonly KeyValue[] = []): Record<string, unknown> =>
  Object.fromEntries(
    attributes.map(({ key, value }) => {
      const [[type, plain]] = Object.entries(value) as [[string, unknown]]
      return [key, type === 'intValue' ? Number(plain) : plain]
    }),
  )
