/** Agents and what they connect to: raw sockets and real clients of TLS, beside real servers. */
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, request as sendRequest } from 'node:http'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { onTestFinished } from 'vitest'
import { openTestRuntime, type RuntimeOptions, type TestAgent, type TestRuntime } from '../support/runtime.ts'

/** A server of HTTP that answers with what it was sent. */
export async function openEcho(): Promise<{ port: number; seen: IncomingMessage[] }> {
  const seen: IncomingMessage[] = []
  const server = createHttpServer((request, response) => {
    seen.push(request)
    response.setHeader('content-type', 'application/json')
    if (request.url === '/moved') return void response.writeHead(302, { location: 'https://elsewhere.example/' }).end()
    void text(request).then((body) => response.end(JSON.stringify({ url: request.url, method: request.method, body })))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { port: (server.address() as AddressInfo).port, seen }
}

/** A server that sends back each byte. */
export async function openPlain(): Promise<number> {
  return openServer((socket) => void socket.pipe(socket))
}

/** Returns the port of a server on this machine. */
export async function openServer(onConnection: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => onConnection(socket.on('error', () => {})))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

export interface Tunnel {
  status: number
  reason: string
  socket: Socket
}

/** A connection to the server itself. */
export function reach(cage: TestRuntime): Socket {
  const { hostname, port } = new URL(cage.url)
  const socket = connect(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  return socket.on('error', () => {})
}

/** Asks for a tunnel. `credentials`: user and password. `more`: sent in the same piece. (Default: nothing.) */
export async function tunnel(
  cage: TestRuntime,
  target: string,
  credentials: string | null,
  more = '',
): Promise<Tunnel> {
  const socket = reach(cage)
  const auth =
    credentials === null ? '' : `Proxy-Authorization: Basic ${Buffer.from(credentials).toString('base64')}\r\n`
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${auth}\r\n${more}`)
  const head = await headOf(socket)
  const [, status = '0', reason = ''] = /^HTTP\/1\.1 (\d+) (.*)\r\n/.exec(head) ?? []
  return { status: Number(status), reason, socket }
}

/** Reads the head of the answer; what follows stays in the socket. */
export function headOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let all = Buffer.alloc(0)
    const settle = (end: number) => {
      socket.off('data', onData).off('close', onClose).pause()
      if (end < all.length) socket.unshift(all.subarray(end))
      resolve(all.toString('latin1', 0, end))
    }
    const onData = (chunk: Buffer) => {
      all = Buffer.concat([all, chunk])
      const end = all.indexOf('\r\n\r\n')
      if (end >= 0) settle(end + 4)
    }
    const onClose = () => settle(all.length)
    socket.on('data', onData).on('close', onClose)
  })
}

export const by = (agent: TestAgent): string => `run:${agent.token}`

/** Ends TLS with a client that trusts this server. */
export async function encrypt(cage: TestRuntime, socket: Socket, servername: string): Promise<TLSSocket> {
  const { certificate } = (await cage.get('/api/egress/ca', (await cage.login()).access_token)).json()
  const tls = connectTls({ socket, servername, ca: String(certificate), ALPNProtocols: ['http/1.1'] })
  tls.on('error', () => {})
  await once(tls, 'secureConnect')
  return tls
}

export async function ask(socket: Socket, path: string, headers: Record<string, string>, method = 'GET', body = '') {
  const request = sendRequest({ createConnection: () => socket, path, headers, method })
  request.end(body)
  socket.resume()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return { status: response.statusCode, headers: response.headers, text: await text(response) }
}

export const open = async (more: RuntimeOptions = {}) => {
  const echo = await openEcho()
  const cage = await openTestRuntime({
    ...more,
    services: {
      linkedin_api: {
        base_url: `http://127.0.0.1:${echo.port}`,
        hosts: ['api.linkedin.com'],
        cost_per_call_usd: '0.10',
        retries: 0,
        redact: ['requests', 'replies'],
      },
      ...more.services,
    },
  })
  return { echo, cage }
}

export const egress = (allow: string[] = [], reachable: string[] = [], mode: 'enforce' | 'observe' = 'enforce') => ({
  egress: { allow, private: reachable, mode },
})
