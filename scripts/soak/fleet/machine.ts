/**
 * One machine of the fleet: a runtime's own ledger and leases, with callers instead of agents and a file instead of the
 * provider. Arguments: database, provider's file, name, callers, the system's boot. Prints a line of JSON when it calls, and when SIGTERM ends it.
 */
import { openSync, writeSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { CageError } from '../../../src/core/errors.ts'
import { nanodollars } from '../../../src/core/money.ts'
import { AGENT, openMachine } from '../../../test/panel/machine.ts'
import { SOAK_TOKEN } from './token.ts'

const [database, providerFile, name, callers, boot] = process.argv.slice(2) as [string, string, string, string, string]
const MAX_COST_NANOS = 10_000_000
const provider = openSync(providerFile, 'a')
// Before the ledger is opened, which takes a moment.
let isStopping = false
process.once('SIGTERM', () => {
  isStopping = true
})
const machine = openMachine(database, { boot })
const refused: Record<string, number> = {}
// From here on SIGTERM is obeyed.
console.log(JSON.stringify({ name }))

/** Every other caller is a client with a token, whose own budget pays as well. */
async function caller(_: unknown, n: number): Promise<void> {
  const token = n % 2 === 1 ? SOAK_TOKEN : undefined
  while (!isStopping) {
    try {
      await machine.call(
        '0.01',
        async () => {
          const cost = nanodollars(1_000_000 + Math.floor(Math.random() * (MAX_COST_NANOS - 1_000_000)))
          // From here on it costs, even if this process ends.
          writeSync(provider, `${token ?? 'any'} ${cost}\n`)
          await wait(Math.random() * 20)
          return cost
        },
        token,
      )
    } catch (error) {
      if (!(error instanceof CageError)) throw error
      refused[error.code] = (refused[error.code] ?? 0) + 1
      await wait(50)
    }
  }
}

// Open calls of a killed one count in full.
for (const { id } of await machine.store.calls.find({ agentId: AGENT, state: 'unresolved', limit: 1_000 })) {
  machine.ledger.resolve({ agentId: AGENT, callId: id, cost: undefined, by: 'ada' })
}
await Promise.all(Array.from({ length: Number(callers) }, caller))
await machine.close()
console.log(JSON.stringify({ name, refused }))
process.exit(0)
