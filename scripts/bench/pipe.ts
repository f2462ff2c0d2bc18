/** A bare byte pipe in Node, the least a gateway can do: `node pipe.ts <provider port>`. Prints its port. */
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

const agent = new Agent({ keepAlive: true, maxSockets: 512 })
const port = Number(process.argv[2])

const server = createServer((incoming, outgoing) => {
  const { method, url: path, headers } = incoming
  const upstream = request({ host: '127.0.0.1', port, method, path, headers, agent }, (answer) => {
    outgoing.writeHead(answer.statusCode!, answer.headers)
    answer.pipe(outgoing)
  })
  upstream.on('error', () => outgoing.destroy())
  incoming.pipe(upstream)
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', 1024, () => console.log((server.address() as AddressInfo).port))
