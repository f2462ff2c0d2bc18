/** Answers each request with the exchange that its text names. Keeps nothing. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { openScriptedProvider, type ScriptedProvider } from '../../src/booth/scripted-provider.ts'
import { exchangeOf, type OracleDialect } from './exchanges.ts'

export type OracleProvider = ScriptedProvider

export const openProvider = (): Promise<OracleProvider> =>
  openScriptedProvider(async (_request, body, response) => {
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
