/**
 * The client that sends large bodies and the provider that answers with them, which stand for other machines: a
 * separate process with the lowest priority. Sends the port of the provider; answers each message with the statuses.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { ATTACKS, OK } from './bodies.ts'

/** Sends the body once a second, as long as it takes. */
export interface Order {
  name: string
  url: string
  token: string
  times: number
}

/** Characters at the end of an answer that have its error. */
const END = 1_000

let answer = Buffer.from(OK)

const server = createServer((request, response) => {
  request.resume().once('end', () => {
    response.writeHead(200, { 'content-type': answer[0] === 0x7b ? 'application/json' : 'text/event-stream' })
    response.end(answer)
  })
})
server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port))

/** Returns the status, of an error with its code: also of one in a stream. */
async function send(url: string, token: string, body: Buffer): Promise<string> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const response = await fetch(url, { method: 'POST', headers, body: new Uint8Array(body) })
  let end = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) end = (end + decoder.decode(chunk, { stream: true })).slice(-END)
  const code = /"code":"(\w+)"/.exec(end)?.[1]
  return code ? `${response.status} ${code}` : String(response.status)
}

process.on('message', async ({ name, url, token, times }: Order) => {
  const attack = ATTACKS[name]!()
  const body = Buffer.from(attack.body)
  answer = Buffer.from(attack.answer ?? OK)
  process.send!('ready')
  const statuses = new Set<string>()
  for (let time = 0; time < times; time++) {
    const next = sleep(1_000)
    statuses.add(await send(url, token, body).catch((error: Error) => error.message))
    await next
  }
  process.send!([...statuses].join(', '))
})
