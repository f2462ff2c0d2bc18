/** A bare byte pipe in Node, the least a gateway can do: `node pipe.ts <provider>`, an origin. Prints its port. */
import * as http from 'node:http'
import * as https from 'node:https'
import type { AddressInfo } from 'node:net'

const provider = new URL(process.argv[2]!)
const { Agent, request } = provider.protocol === 'https:' ? https : http
const agent = new Agent({ keepAlive: true, maxSockets: 512 })
const { hostname, port } = provider

const server = http.createServer((incoming, outgoing) => {
  const { method, url: path, headers } = incoming
  const upstream = request({ hostname, port, method, path, headers, agent }, (answer) => {
    outgoing.writeHead(answer.statusCode!, answer.headers)
    answer.pipe(outgoing)
  })
  upstream.on('error', () => outgoing.destroy())
  incoming.pipe(upstream)
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', 1024, () => console.log((server.address() as AddressInfo).port))
