import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { dataKeyPath } from '../../src/db/files.ts'
import { openSeal } from '../../src/db/seal.ts'
import { openStore } from '../../src/db/store.ts'

function temporaryFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-seal-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'state.db')
}

const unusable = expect.objectContaining({ code: 'database_unusable' })

describe('sealing a value', () => {
  test('a sealed value opens again as it was, also by the next server, with a key for this user only', () => {
    const path = temporaryFile()
    for (const text of ['', 'x', 'Grüße\0\n"quotes" 🙂', 'long '.repeat(20_000)]) {
      const sealed = openSeal(path).seal(Buffer.from(text), 'here')
      expect(sealed.includes('long long')).toBe(false)
      expect(openSeal(path).unseal(sealed, 'here').toString()).toBe(text)
    }
    expect(statSync(dataKeyPath(path)).mode & 0o777).toBe(0o600)
  })

  test('a sealed value opens nowhere else, with no other key, and not with a bit changed or a byte less', () => {
    const path = temporaryFile()
    const seal = openSeal(path)
    const sealed = seal.seal(Buffer.from('mine'), 'here')
    expect(() => seal.unseal(sealed, 'there')).toThrow(unusable)
    expect(() => openSeal(temporaryFile()).unseal(sealed, 'here')).toThrow(unusable)
    for (let at = 0; at < sealed.length; at++) {
      const flipped = Buffer.from(sealed)
      flipped[at]! ^= 1
      expect(() => seal.unseal(flipped, 'here')).toThrow(unusable)
      expect(() => seal.unseal(sealed.subarray(0, at), 'here')).toThrow(unusable)
    }
  })

  test('a sealed value is lost with its key, which is an error', () => {
    const path = temporaryFile()
    const first = openStore({ path })
    const owner = { name: 'worker', script: '/agents/worker.py' }
    first.checkpoints.put(owner, { done: 7 }, '2026-01-01T00:00:00.000Z')
    first.close()
    rmSync(dataKeyPath(path))
    const second = openStore({ path })
    onTestFinished(() => second.close())
    expect(() => second.checkpoints.get(owner)).toThrow(unusable)
  })

  test('sealing needs a key file that holds a key', () => {
    const path = temporaryFile()
    writeFileSync(dataKeyPath(path), 'short\n')
    expect(() => openSeal(path).seal(Buffer.from('x'), 'here')).toThrow(unusable)
    expect(readFileSync(dataKeyPath(path), 'utf8')).toBe('short\n')
  })

  test('sealing uses separate keys for other purposes', () => {
    const seal = openSeal(temporaryFile())
    expect(seal.deriveKey('one')).toHaveLength(32)
    expect(seal.deriveKey('one').equals(seal.deriveKey('two'))).toBe(false)
  })
})
