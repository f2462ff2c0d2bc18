/** Answers other protocols than HTTP/1.1, as Node does by itself, and refuses clients of HTTP/2 in its own frames. */
import type { Server, ServerResponse } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { Socket } from 'node:net'

const STATUSES: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

export function answerClientErrors(server: Server | TlsServer): void {
  server.on('clientError', ({ code = '' }: NodeJS.ErrnoException, socket) => {
    // A response that has begun cannot be followed by another status.
    const { _httpMessage: response } = socket as Socket & { _httpMessage?: ServerResponse }
    if (!socket.writable || code === 'ECONNRESET' || response?.headersSent) return void socket.destroy()
    if (code === 'HPE_PAUSED_H2_UPGRADE') return void socket.end(HTTP_1_1_REQUIRED)
    socket.end(`HTTP/1.1 ${STATUSES[code] ?? '400 Bad Request'}\r\nConnection: close\r\n\r\n`)
  })
}

/** A frame of HTTP/2 on stream 0 (RFC 9113, 4.1). */
function frame(type: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  return Buffer.concat([head, payload])
}

const [SETTINGS, GOAWAY] = [4, 7]
/** Last stream 0, error HTTP_1_1_REQUIRED, and a text for people. */
const REASON = Buffer.concat([
  Buffer.from([0, 0, 0, 0, 0, 0, 0, 0xd]),
  Buffer.from('Iron Cage answers over HTTP/1.1: configure your client to use it'),
])
const HTTP_1_1_REQUIRED = Buffer.concat([frame(SETTINGS, Buffer.alloc(0)), frame(GOAWAY, REASON)])
