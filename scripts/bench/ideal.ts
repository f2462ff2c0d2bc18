/**
 * The least that a gateway with a ledger must do: `node ideal.ts <provider> <database>`, an origin and a file. Whole bodies through
 * undici, request and reply parsed, a hold committed before and a charge after. Without a database it forwards the
 * bodies and does nothing else. Prints its port.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Pool } from 'undici'
import { openIdealLedger } from './ideal-ledger.ts'

const [provider, database] = process.argv.slice(2)
const pool = new Pool(provider!, { connections: 512, pipelining: 1 })
const ledger = database === undefined ? undefined : openIdealLedger(database)
const HEADERS = { 'content-type': 'application/json', authorization: 'Bearer bench' }
// A profile is written when the process exits by itself.
process.once('SIGTERM', () => process.exit(0))

interface Whole {
  status: number
  body: Buffer
}

const joined = (chunks: Buffer[]): Buffer => (chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))

const send = (path: string, body: Buffer): Promise<Whole> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let status = 0
    pool.dispatch(
      { path, method: 'POST', headers: HEADERS, body },
      {
        onRequestStart: () => undefined,
        onResponseStart(_controller, given) {
          status = given
        },
        onResponseData: (_controller, chunk) => void chunks.push(chunk),
        onResponseEnd: () => resolve({ status, body: joined(chunks) }),
        onResponseError: (_controller, error) => reject(error),
      },
    )
  })

async function answer(path: string, body: Buffer): Promise<Whole> {
  if (!ledger) return send(path, body)
  const { model, stream } = JSON.parse(body.toString('utf8')) as { model: string; stream?: boolean }
  if (stream) return { status: 501, body: Buffer.from('{}') }
  const row = await ledger.hold(model)
  const reply = await send(path, body)
  const { usage } = JSON.parse(reply.body.toString('utf8')) as { usage: unknown }
  await ledger.charge(row, usage)
  return reply
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', async () => {
    const { status, body } = await answer(request.url!, joined(chunks))
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length })
    response.end(body)
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', 1024, () => console.log((server.address() as AddressInfo).port))
