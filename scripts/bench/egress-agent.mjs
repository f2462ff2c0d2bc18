/**
 * The agent of egress.ts: measures connections, requests and bytes from where an agent is, and prints one line of JSON
 * with milliseconds. Arguments: how it reaches the servers ("direct" or "egress"), the port of TLS, the port of the echo,
 * and the number of each.
 */
import { once } from 'node:events'
import { Agent as PlainAgent, request as requestPlain } from 'node:http'
import { Agent, request } from 'node:https'
import { connect } from 'node:net'

const [way, tls, echo, count] = process.argv.slice(2)
const isDirect = way === 'direct'
const rounds = Number(count)

const median = (all) => all.toSorted((one, other) => one - other)[Math.floor(all.length / 2)]

async function timed(act) {
  const began = performance.now()
  await act()
  return performance.now() - began
}

async function get(host, agent) {
  const sent = request({ host, port: isDirect ? tls : 443, path: '/x', agent })
  sent.end()
  const [response] = await once(sent, 'response')
  response.resume()
  await once(response, 'end')
}

const hostOf = (n) => (isDirect ? 'localhost' : `s${n}.example`)

async function connected() {
  const socket = connect(Number(echo), '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

const connects = []
for (let n = 0; n < rounds; n++) connects.push(await timed(async () => (await connected()).destroy()))

const agent = new Agent({ keepAlive: true, maxSockets: 1 })
await get(hostOf(0), agent)
const calls = []
for (let n = 0; n < rounds * 5; n++) calls.push(await timed(() => get(hostOf(0), agent)))
agent.destroy()

// The same service by the address of the gateway.
const byUrl = []
const { IRON_CAGE_GATEWAY_URL: gateway, IRON_CAGE_TOKEN: token } = process.env
const plain = new PlainAgent({ keepAlive: true, maxSockets: 1 })
for (let n = 0; n < rounds * 5; n++) {
  byUrl.push(
    await timed(async () => {
      const headers = { authorization: `Bearer ${token}` }
      const sent = requestPlain(`${gateway}/services/bench/x`, { agent: plain, headers })
      sent.end()
      const [response] = await once(sent, 'response')
      response.resume()
      await once(response, 'end')
    }),
  )
}
plain.destroy()

const fresh = async (n) => timed(() => get(hostOf(n), new Agent({ keepAlive: false, maxCachedSessions: 0 })))
const first = []
const again = []
for (let n = 1; n <= 20; n++) {
  first.push(await fresh(n))
  again.push(await fresh(n))
}

const block = Buffer.alloc(1_048_576, 'x')
const socket = await connected()
const megabytes = []
for (let n = 0; n < rounds; n++) {
  megabytes.push(
    await timed(async () => {
      socket.write(block)
      for (let got = 0; got < block.length; ) got += (await once(socket, 'data'))[0].length
    }),
  )
}
socket.destroy()

console.log(
  JSON.stringify({
    connect: median(connects),
    call: median(calls),
    url: median(byUrl),
    first: median(first),
    again: median(again),
    megabyte: median(megabytes),
  }),
)
