/**
 * The control: a bare byte pipe in Node, a separate process. `/<port>/…` goes to that port; `/health` is answered.
 * Sends its own port.
 */
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

const agent = new Agent({ keepAlive: true })

const server = createServer((incoming, outgoing) => {
  const { method, headers } = incoming
  const [, port, path] = /^\/(\d+)(.*)/.exec(incoming.url!) ?? []
  if (!port) return void outgoing.end('{}')
  const upstream = request({ host: '127.0.0.1', port, method, path, headers, agent }, (answer) => {
    outgoing.writeHead(answer.statusCode!, answer.headers)
    answer.pipe(outgoing)
  })
  upstream.on('error', () => outgoing.destroy())
  incoming.pipe(upstream)
})
server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port))
