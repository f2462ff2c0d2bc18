/**
 * Changes the master key of a vault and is killed at the nth row that this writes; exits with 0 when there are fewer.
 *
 *   node test/vault/killed-at.ts <database> <old key> <new key> <n>
 */
import { Audit } from '../../src/audit/chain.ts'
import { systemClock } from '../../src/core/clock.ts'
import { openStore } from '../../src/db/store.ts'
import { StateManager } from '../../src/state/state-manager.ts'
import { Vault } from '../../src/vault/vault.ts'

const [path = '', oldKey = '', newKey = '', nth = '1'] = process.argv.slice(2)
const onFault = (error: unknown) => {
  throw error
}
const store = openStore({ path })
const state = new StateManager({ store, clock: systemClock, retentionDays: 7, onFault })
const audit = new Audit({ store, state, clock: systemClock, onBroken: onFault, onFault })
const vault = await Vault.open({ store, state, audit, clock: systemClock, masterKey: oldKey, loads: false })

const { $client: client } = store.orm
let written = 0
client.function('row_written', () => {
  written += 1
  if (written === Number(nth)) process.kill(process.pid, 'SIGKILL')
  return null
})
for (const [table, event] of [
  ['meta', 'INSERT'],
  ['meta', 'UPDATE'],
  ['secrets', 'UPDATE'],
  ['audit', 'INSERT'],
]) {
  client.exec(`CREATE TEMP TRIGGER ${table}_${event} AFTER ${event} ON main.${table} BEGIN SELECT row_written(); END`)
}
await vault.changeMasterKey(newKey, { role: 'admin', actor: 'operator', agentId: null })
process.exit(0)
