import { afterAll, beforeAll, expect, test } from 'vitest'
import { type OracleCage, openCage } from './cage.ts'
import { Comparison } from './compare.ts'
import { exchangeOf } from './exchanges.ts'
import { type OracleProvider, openProvider } from './provider.ts'

/** With an honest provider and a reply without findings, the cage is invisible to a client. */

const EXCHANGES = Number(process.env.ORACLE_EXCHANGES ?? 1_000)
const FIRST = Number(process.env.ORACLE_FIRST ?? 1)
const AT_ONCE = 8

let provider: OracleProvider
let cage: OracleCage

beforeAll(async () => {
  provider = await openProvider()
  cage = await openCage(provider.url, process.env.ORACLE_PROGRAM)
})
afterAll(async () => {
  await cage.close()
  await provider.close()
})

test('every frame, status and cost of honest exchanges is that of the bare provider', async () => {
  const comparison = new Comparison(provider.url, cage)
  let next = FIRST
  const work = async () => {
    while (next < FIRST + EXCHANGES) await comparison.compare(exchangeOf(next++))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  await comparison.conclude()
  expect(comparison.differences.sort((one, other) => one.seed - other.seed)).toEqual([])
})
