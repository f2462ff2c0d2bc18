/** Answers each request with the exchange that its text names. Keeps nothing. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { exchangeOf, type OracleDialect } from './exchanges.ts'

export interface OracleProvider {
  url: string
  close(): Promise<void>
}

export async function openProvider(): Promise<OracleProvider> {
  const server = createServer(async (request, response) => {
    const body = await text(request)
    const [, seed, dialect] = /oracle-(\d+)-(\w+)/.exec(body) ?? []
    if (seed === undefined) return void response.writeHead(404).end()
    const { status, headers, chunks } = exchangeOf(Number(seed), dialect as OracleDialect).answer(
      JSON.parse(body) as object,
    )
    response.writeHead(status, headers)
    for (const chunk of chunks) {
      response.write(chunk)
      await nextTurn()
    }
    response.end()
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      }),
  }
}
