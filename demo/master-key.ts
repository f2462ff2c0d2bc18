/**
 * The demo's master key, generated at its first start and stored next to its database: the demo needs no key, and its
 * vault can be reopened. It protects only the key of the simulated world, and anyone with the folder has both.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { newMasterKey } from '../src/vault/master-key.ts'

export function demoMasterKey(databasePath: string): string {
  const path = `${databasePath}.demo-key`
  try {
    return readFileSync(path, 'utf8')
  } catch {
    const key = newMasterKey()
    writeFileSync(path, key, { mode: 0o600 })
    return key
  }
}
