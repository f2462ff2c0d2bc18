/**
 * The demo's master key, made at its first start and kept beside its database: the demo needs no key, and its vault opens
 * again. It seals nothing but the key of the simulated world; whoever has the folder has both.
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
