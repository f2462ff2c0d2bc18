/** Answers each request with the case that it names, as `CASE:<id>`, over HTTP and as the vendors' own hosts do over TLS. */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { CASES, type Part, type Reply } from './case.ts'

const tls = (name: string): string => resolve(import.meta.dirname, '../support/tls', name)
/** Signs itself, for the hosts of the cases. */
export const CERTIFICATE = tls('vendors-cert.pem')

const ENCODINGS = { gzip: gzipSync, br: brotliCompressSync, zstd: zstdCompressSync, deflate: deflateSync }
/** Between two parts, so that they arrive one by one. */
const PACE_MS = 2

export class CaseProvider {
  readonly #seen = new Map<string, string[]>()
  readonly #plain = createServer(this.#listener())
  readonly #vendors = createTlsServer(
    { key: readFileSync(tls('vendors-key.pem')), cert: readFileSync(CERTIFICATE) },
    this.#listener(),
  )
  /** Leads every host to the vendors' stand-in. */
  readonly #proxy = createServer((_, response) => response.writeHead(502).end())

  static async open(): Promise<CaseProvider> {
    const provider = new CaseProvider()
    await Promise.all([provider.#plain, provider.#vendors, provider.#proxy].map(listen))
    provider.#proxy.on('connect', (_, socket, head) => {
      const upstream = connect(portOf(provider.#vendors), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        upstream.write(head)
        upstream.pipe(socket).pipe(upstream)
      })
      for (const [one, other] of [[upstream, socket] as const, [socket, upstream] as const]) {
        one.on('error', () => other.destroy())
      }
    })
    return provider
  }

  get url(): string {
    return `http://127.0.0.1:${portOf(this.#plain)}`
  }

  get proxyUrl(): string {
    return `http://127.0.0.1:${portOf(this.#proxy)}`
  }

  /** The bodies of the requests of a case. */
  requestsOf(id: string): readonly string[] {
    return this.#seen.get(id) ?? []
  }

  close(): void {
    for (const server of [this.#plain, this.#vendors, this.#proxy]) {
      server.closeAllConnections()
      server.close()
    }
  }

  #listener(): RequestListener {
    return (request, response) =>
      void this.#answer(request, response).catch((error: unknown) => response.destroy(error as Error))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request)
    const id = /CASE:([\w.-]+)/.exec(body + request.url)?.[1] ?? ''
    const replies = [CASES.find((one) => one.id === id)?.reply ?? []].flat()
    if (replies.length === 0) return void response.writeHead(404).end('{"error":{"message":"there is no such case"}}')
    const seen = [...this.requestsOf(id), body]
    this.#seen.set(id, seen)
    await write(replies[Math.min(seen.length, replies.length) - 1]!, response)
  }
}

async function write({ status = 200, headers = {}, parts, json, text, encoding }: Reply, response: ServerResponse) {
  const type = { 'content-type': parts ? 'text/event-stream' : 'application/json' }
  const given = Object.entries({ ...type, ...headers }).filter(([, value]) => value !== null) as [string, string][]
  const pieces = parts ?? [{ t: text ?? JSON.stringify(json) }]
  if (encoding) {
    const bytes = ENCODINGS[encoding](Buffer.concat(pieces.map(bytesOf)))
    response.writeHead(status, { ...Object.fromEntries(given), 'content-encoding': encoding }).end(bytes)
    return
  }
  response.writeHead(status, Object.fromEntries(given)).flushHeaders()
  for (const part of pieces) {
    if (part.wait !== undefined) await sleep(part.wait)
    for (let written = 0; part.wait === undefined && written < (part.repeat ?? 1) && response.writable; written += 1) {
      response.write(bytesOf(part))
      await sleep(part.every ?? PACE_MS)
    }
  }
  response.end()
}

function bytesOf({ d, e, t, b64 }: Part): Buffer {
  if (b64 !== undefined) return Buffer.from(b64, 'base64')
  if (t !== undefined) return Buffer.from(t)
  const data = e ? e[1] : d
  const line = `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`
  return Buffer.from(e ? `event: ${e[0]}\n${line}` : line)
}

const listen = (server: Pick<Server, 'listen'>): Promise<void> =>
  new Promise((listening) => void server.listen(0, '127.0.0.1', listening))

const portOf = (server: Pick<Server, 'address'>): number => (server.address() as AddressInfo).port
