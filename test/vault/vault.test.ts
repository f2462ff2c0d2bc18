import { spawnSync } from 'node:child_process'
import { copyFileSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { toAgentId } from '../../src/core/ids.ts'
import { newMasterKey, weaknessOf } from '../../src/vault/master-key.ts'
import { bundleProgram } from '../support/bundled.ts'
import { ADMIN, KEY, newPath, type OpenVault, OTHER_KEY, openVault } from './support.ts'

const CANARY = 'sk-canary-"7f3a9c"-zürich-🗝-end'
const code = (wanted: string) => expect.objectContaining({ code: wanted })

describe('a secret', () => {
  test('a secret is created, listed, read, replaced, rolled back, deleted and restored', async () => {
    const { vault, events } = await openVault()
    const made = await vault.create(
      { name: 'OPENAI_API_KEY', environment: 'production', value: 'sk-first-0123456789ab' },
      ADMIN,
    )
    expect(made).toMatchObject({
      name: 'OPENAI_API_KEY',
      version: 1,
      masked: 'sk-f…ab',
      rotated_at: null,
      deleted_at: null,
    })
    expect(made.id).toMatch(/^secret-[0-9a-f]{16}$/)
    expect(vault.list()).toEqual([made])
    expect(vault.list({ environment: 'development' })).toEqual([])
    expect(await vault.reveal(made.id, ADMIN)).toBe('sk-first-0123456789ab')

    const replaced = await vault.update(made.id, 'sk-second-0123456789cd', ADMIN)
    expect(replaced).toMatchObject({ version: 2, masked: 'sk-s…cd', rotated_at: expect.any(String) })
    expect(vault.valueOf('OPENAI_API_KEY', 'production')).toBe('sk-second-0123456789cd')
    expect(vault.currentOf('sk-first-0123456789ab')).toMatchObject({ id: made.id, value: 'sk-second-0123456789cd' })
    expect(vault.currentOf('sk-second-0123456789cd')).toBeUndefined()

    expect(await vault.rollBack(made.id, ADMIN)).toMatchObject({ version: 3 })
    expect(await vault.reveal(made.id, ADMIN)).toBe('sk-first-0123456789ab')
    expect(vault.currentOf('sk-second-0123456789cd')?.value).toBe('sk-first-0123456789ab')

    await vault.delete(made.id, ADMIN)
    expect(vault.list()).toEqual([])
    expect(vault.valueOf('OPENAI_API_KEY', 'production')).toBeUndefined()
    await expect(vault.reveal(made.id, ADMIN)).rejects.toEqual(code('not_found'))
    await vault.restore(made.id, ADMIN)
    expect(await vault.reveal(made.id, ADMIN)).toBe('sk-first-0123456789ab')
    expect(events.map(({ type }) => type)).toEqual([
      'vault.opened',
      'secret.created',
      'secret.read',
      'secret.updated',
      'secret.updated',
      'secret.read',
      'secret.deleted',
      'secret.restored',
      'secret.read',
    ])
  })

  test('a secret is unique by name and environment, and its name is free again when it was deleted', async () => {
    const { vault } = await openVault()
    const secret = { name: 'A', environment: 'development', value: 'one' } as const
    const first = await vault.create(secret, ADMIN)
    await expect(vault.create(secret, ADMIN)).rejects.toEqual(code('conflict'))
    await vault.create({ ...secret, environment: 'staging' }, ADMIN)
    await vault.delete(first.id, ADMIN)
    await vault.create(secret, ADMIN)
    await expect(vault.restore(first.id, ADMIN)).rejects.toEqual(code('conflict'))
    const racing = await Promise.allSettled(
      Array.from({ length: 10 }, () => vault.create({ ...secret, name: 'B' }, ADMIN)),
    )
    expect(racing.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  test.each([
    ['a line break', 'one\ntwo\r\n'],
    ['quotes and backslashes', `'"\\$\`\\u0000`],
    ['an emoji', '🗝️ zürich'],
    ['one character', 'x'],
    ['spaces at its ends', '  x\t'],
    ['64 KiB', 'ß'.repeat(32_768)],
  ])('a secret with %s comes back exactly', async (_, value) => {
    const path = newPath()
    const before = await openVault(path)
    const { id } = await before.vault.create({ name: 'VALUE', environment: 'development', value }, ADMIN)
    await before.close()
    const { vault } = await openVault(path)
    expect(await vault.reveal(id, ADMIN)).toBe(value)
    expect((await vault.revealEnvironment('development', ADMIN)).get('VALUE')).toBe(value)
  })

  test.each([
    ['an empty value', 'A', ''],
    ['a value with NUL', 'A', 'a\0b'],
    ['half a surrogate pair', 'A', 'a\ud800'],
    ['more than 64 KiB', 'A', 'x'.repeat(65_537)],
    ['no name', '', 'v'],
    ['a name with a hyphen', 'OPENAI-KEY', 'v'],
    ['a name with a line break', 'A\n', 'v'],
    ['a name with an equals sign', 'A=B', 'v'],
    ['a name with a digit in front', '1A', 'v'],
    ['a name of ours', 'IRON_CAGE_MASTER_KEY', 'v'],
    ['a name that is too long', 'A'.repeat(129), 'v'],
  ])('a secret with %s is refused', async (_, name, value) => {
    const { vault } = await openVault()
    await expect(vault.create({ name, environment: 'development', value }, ADMIN)).rejects.toEqual(code('bad_request'))
    expect(vault.list()).toEqual([])
  })

  test('a secret is known to the redactor as long as the server knows it, and so is its previous value', async () => {
    const path = newPath()
    const { vault, values, close } = await openVault(path)
    const { id } = await vault.create({ name: 'A', environment: 'development', value: 'first-value' }, ADMIN)
    await vault.update(id, 'second-value', ADMIN)
    await vault.update(id, 'third-value', ADMIN)
    await vault.create({ name: 'B', environment: 'staging', value: 'other-value' }, ADMIN)
    await vault.delete(id, ADMIN)
    expect([...values()].sort()).toEqual(['first-value', 'other-value', 'second-value', 'third-value'])
    await vault.restore(id, ADMIN)
    await close()
    const again = await openVault(path)
    expect([...again.values()].sort()).toEqual(['other-value', 'second-value', 'third-value'])
    expect(again.vault.currentOf('second-value')?.value).toBe('third-value')
  })
})

describe('the audit of the vault', () => {
  test('the audit of the vault records each action, also failed ones, and each value that an agent received', async () => {
    const { vault, store, audit } = await openVault()
    const { id } = await vault.create({ name: 'A', environment: 'development', value: 'value-of-a' }, ADMIN)
    await vault.create({ name: 'B', environment: 'development', value: 'value-of-b' }, ADMIN)
    const agent = { role: 'agent', actor: 'lg-1', agentId: toAgentId('lg-1') } as const
    expect(await vault.revealEnvironment('development', agent)).toEqual(
      new Map([
        ['A', 'value-of-a'],
        ['B', 'value-of-b'],
      ]),
    )
    await vault.delete(id, ADMIN)
    await vault.reveal(id, ADMIN).catch(() => undefined)
    const rows = store.orm.$client
      .prepare(
        'SELECT secret_name, operation, requester_role, agent_id, success, error_message FROM secret_audit_log ORDER BY seq',
      )
      .raw()
      .all()
    expect(rows).toEqual([
      ['A', 'create', 'admin', null, 1, null],
      ['B', 'create', 'admin', null, 1, null],
      ['A', 'read', 'agent', 'lg-1', 1, null],
      ['B', 'read', 'agent', 'lg-1', 1, null],
      ['A', 'delete', 'admin', null, 1, null],
      ['A', 'read', 'admin', null, 0, 'the secret A of development was deleted'],
    ])
    expect(await audit.verify()).toMatchObject({ ok: true })
  })

  test('the audit of the vault is written first: no row, no secret', async () => {
    const { vault, store, events } = await openVault()
    const { id } = await vault.create({ name: 'A', environment: 'development', value: 'value-of-a' }, ADMIN)
    const reported = events.length
    store.orm.$client.exec("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(FAIL, 'full'); END")
    await expect(vault.create({ name: 'B', environment: 'development', value: 'v' }, ADMIN)).rejects.toThrow('full')
    await expect(vault.update(id, 'new', ADMIN)).rejects.toThrow('full')
    await expect(vault.reveal(id, ADMIN)).rejects.toThrow('full')
    await expect(vault.revealEnvironment('development', ADMIN)).rejects.toThrow('full')
    await expect(vault.delete(id, ADMIN)).rejects.toThrow('full')
    store.orm.$client.exec('DROP TRIGGER full')
    expect(events).toHaveLength(reported)
    expect(vault.list()).toMatchObject([{ name: 'A', version: 1 }])
    expect(await vault.reveal(id, ADMIN)).toBe('value-of-a')
    expect(vault.valueOf('A', 'development')).toBe('value-of-a')
  })
})

describe('a master key', () => {
  test('a missing, weak or wrong master key keeps the vault locked, with a reason and a remedy', async () => {
    const path = newPath()
    const first = await openVault(path)
    const { id } = await first.vault.create({ name: 'A', environment: 'development', value: 'value-of-a' }, ADMIN)
    await first.close()
    for (const [key, why] of [
      [null, 'no_key'],
      ['secret', 'weak_key'],
      [OTHER_KEY, 'wrong_key'],
    ] as const) {
      const { vault, events, close } = await openVault(path, key)
      expect(vault.state).toMatchObject({ state: 'locked', why })
      await expect(vault.reveal(id, ADMIN)).rejects.toEqual(code('vault_locked'))
      await expect(vault.revealEnvironment('development', ADMIN)).rejects.toEqual(code('vault_locked'))
      await expect(vault.update(id, 'another', ADMIN)).rejects.toEqual(code('vault_locked'))
      await expect(vault.delete(id, ADMIN)).rejects.toEqual(code('vault_locked'))
      await expect(vault.create({ name: 'B', environment: 'staging', value: 'v' }, ADMIN)).rejects.toEqual(
        code('vault_locked'),
      )
      expect(vault.list()).toMatchObject([{ name: 'A' }])
      expect(vault.valueOf('A', 'development')).toBeUndefined()
      expect(vault.sealOriginal('pii-1', 'x')).toBeUndefined()
      expect(events.map(({ type }) => type)).toEqual(['vault.locked'])
      await close()
    }
    const again = await openVault(path)
    expect(await again.vault.reveal(id, ADMIN)).toBe('value-of-a')
  })

  test.each([
    'short',
    'x'.repeat(64),
    'abcabcabcabcabcabcabcabcabcabcabcabcabc',
    'correcthorse',
    '0123456789abcdefghijklmnopqrstuvwxyz',
    'passwordpasswordpasswordpasswordpassword',
  ])('a master key like %s is too weak', (key) => {
    expect(weaknessOf(key)).toEqual(expect.any(String))
  })

  test('a master key from keygen is always strong enough', () => {
    for (let count = 0; count < 2_000; count++) expect(weaknessOf(newMasterKey())).toBeUndefined()
    expect(weaknessOf('8f14e45fceea167a5a36dedd4bea2543d2f1c0b3')).toBeUndefined()
  })

  test('a master key is changed for everything at once, and a program killed on the way leaves the old one or the new one', async () => {
    const path = newPath()
    const before = await openVault(path)
    const { id } = await before.vault.create({ name: 'A', environment: 'development', value: 'first-value' }, ADMIN)
    await before.vault.update(id, 'second-value', ADMIN)
    const gone = await before.vault.create({ name: 'B', environment: 'development', value: 'other-value' }, ADMIN)
    await before.vault.delete(gone.id, ADMIN)
    const original = before.vault.sealOriginal('pii-1', 'jane@example.org')!
    insertIncident(before.store.orm.$client, original)

    // Killed on the way: writes before the end of the transaction are not there afterwards.
    const { $client: client } = before.store.orm
    for (let rowsWritten = 0; rowsWritten < 2; rowsWritten++) {
      client.exec(`CREATE TEMP TABLE written (n)`)
      client.exec(
        `CREATE TEMP TRIGGER killed BEFORE UPDATE ON main.secrets WHEN (SELECT count(*) FROM written) = ${rowsWritten}
         BEGIN SELECT RAISE(FAIL, 'killed'); END`,
      )
      client.exec(`CREATE TEMP TRIGGER counted AFTER UPDATE ON main.secrets BEGIN INSERT INTO written VALUES (1); END`)
      await expect(before.vault.changeMasterKey(OTHER_KEY, ADMIN)).rejects.toThrow('killed')
      client.exec('DROP TRIGGER killed; DROP TRIGGER counted; DROP TABLE written')
      expect(await before.vault.reveal(id, ADMIN)).toBe('second-value')
    }
    await expect(before.vault.changeMasterKey('weak', ADMIN)).rejects.toEqual(code('bad_request'))
    expect(await before.vault.changeMasterKey(OTHER_KEY, ADMIN)).toBe(2)
    expect(await before.vault.reveal(id, ADMIN)).toBe('second-value')
    await before.close()

    const old = await openVault(path, KEY)
    expect(old.vault.state).toMatchObject({ why: 'wrong_key' })
    await old.close()
    const { vault, store, events } = await openVault(path, OTHER_KEY)
    expect(await vault.reveal(id, ADMIN)).toBe('second-value')
    await vault.rollBack(id, ADMIN)
    expect(await vault.reveal(id, ADMIN)).toBe('first-value')
    await vault.restore(gone.id, ADMIN)
    expect(await vault.reveal(gone.id, ADMIN)).toBe('other-value')
    const { sealed_original: sealed } = store.orm.$client
      .prepare('SELECT sealed_original FROM pii_incidents')
      .get() as {
      sealed_original: Buffer
    }
    expect(vault.openOriginal('pii-1', sealed, ADMIN)).toBe('jane@example.org')
    expect(events.filter(({ type }) => type === 'vault.broken')).toEqual([])
  })
})

test('a program killed with SIGKILL at any row of a change of the master key leaves all of the old or all of the new', async () => {
  const path = newPath()
  const before = await openVault(path)
  const first = await before.vault.create({ name: 'A', environment: 'development', value: 'value-of-a' }, ADMIN)
  await before.vault.create({ name: 'B', environment: 'development', value: 'value-of-b' }, ADMIN)
  await before.vault.update(first.id, 'new-value-of-a', ADMIN)
  await before.close()
  const kept: string[] = []
  const script = `${path}.mjs`
  await bundleProgram(join(import.meta.dirname, 'killed-at.ts'), script)
  for (let nth = 1; ; nth++) {
    const copy = `${path}.${nth}`
    for (const suffix of ['', '.audit-key', '.audit-head']) copyFileSync(path + suffix, copy + suffix)
    const { signal, status } = spawnSync(process.execPath, [script, copy, KEY, OTHER_KEY, String(nth)])
    let opened: OpenVault = await openVault(copy, KEY)
    kept.push(opened.vault.isLocked ? 'new' : 'old')
    if (opened.vault.isLocked) {
      await opened.close()
      opened = await openVault(copy, OTHER_KEY)
    }
    const { vault } = opened
    const values = await vault.revealEnvironment('development', ADMIN)
    expect(values).toEqual(
      new Map([
        ['A', 'new-value-of-a'],
        ['B', 'value-of-b'],
      ]),
    )
    await vault.rollBack(first.id, ADMIN)
    expect(vault.valueOf('A', 'development')).toBe('value-of-a')
    await opened.close()
    if (status === 0) break
    expect(signal).toBe('SIGKILL')
  }
  // One row of meta, and for each secret its own and one of the audit.
  expect(kept).toEqual(['old', 'old', 'old', 'old', 'old', 'new'])
})

describe('a row of the vault', () => {
  test('a row of the vault is refused with any one bit changed, two thousand times', async () => {
    const path = newPath()
    const { vault, store, events } = await openVault(path)
    const { id } = await vault.create({ name: 'OPENAI_API_KEY', environment: 'production', value: CANARY }, ADMIN)
    await vault.update(id, `${CANARY}-2`, ADMIN)
    const { $client: client } = store.orm
    const row = client.prepare('SELECT * FROM secrets').get() as Record<string, unknown>
    const columns = Object.entries(row).filter(([name, value]) => name !== 'id' && value !== null)
    const flips = columns.flatMap(([name, value]) => everyFlip(name, value))
    expect(flips.length).toBeGreaterThan(2_000)
    const step = flips.length / 2_000
    let refused = 0
    for (let index = 0; index < 2_000; index++) {
      const [name, value] = flips[Math.floor(index * step)]!
      client.prepare(`UPDATE secrets SET "${name}" = ?`).run(value)
      await expect(vault.reveal(id, ADMIN), `${name} ${String(value)}`).rejects.toThrow()
      if (name !== 'environment') await expect(vault.revealEnvironment('production', ADMIN)).rejects.toThrow()
      client.prepare(`UPDATE secrets SET "${name}" = ?`).run(row[name])
      refused += 1
    }
    expect(refused).toBe(2_000)
    expect(await vault.reveal(id, ADMIN)).toBe(`${CANARY}-2`)
    expect(events.filter(({ type }) => type === 'vault.broken')).toHaveLength(1)
  })

  test.each([
    'ciphertext',
    'nonce',
    'salt',
    'version',
    'masked',
    'name',
    'environment',
    'parameters',
    'previous_ciphertext',
  ])('a row of the vault is refused with the %s of another, at once and after a restart', async (column) => {
    const path = newPath()
    const before = await openVault(path)
    const one = await before.vault.create(
      { name: 'ONE', environment: 'development', value: 'value-number-one-of-them' },
      ADMIN,
    )
    const two = await before.vault.create(
      { name: 'TWO', environment: 'staging', value: 'the-second-value-of-two-is' },
      ADMIN,
    )
    await before.vault.update(two.id, 'the-third-value-of-two-is', ADMIN)
    const { $client: client } = before.store.orm
    const value = client.prepare(`SELECT "${column}" FROM secrets WHERE id = ?`).pluck()
    client
      .prepare(`UPDATE secrets SET "${column}" = ? WHERE id = ?`)
      .run(column === 'parameters' ? 'argon2id m=1' : value.get(two.id), one.id)
    await expect(before.vault.reveal(one.id, ADMIN)).rejects.toEqual(code('vault_broken'))
    await before.close()
    const { vault, events } = await openVault(path)
    await expect(vault.reveal(one.id, ADMIN)).rejects.toEqual(code('vault_broken'))
    expect(await vault.reveal(two.id, ADMIN)).toBe('the-third-value-of-two-is')
    expect(events.find(({ type }) => type === 'vault.broken')).toMatchObject({
      level: 'CRIT',
      data: { secret_id: one.id },
    })
    // A new value makes it whole again, under the name that it has then.
    await vault.update(one.id, 'a-new-value-for-the-first', ADMIN)
    expect(await vault.reveal(one.id, ADMIN)).toBe('a-new-value-for-the-first')
  })

  test('a row of the vault that was rolled back, removed, added or undeleted is noticed', async () => {
    const path = newPath()
    const before = await openVault(path)
    const old = await before.vault.create({ name: 'OLD', environment: 'development', value: 'the-leaked-value' }, ADMIN)
    const gone = await before.vault.create(
      { name: 'GONE', environment: 'development', value: 'value-that-goes' },
      ADMIN,
    )
    const dead = await before.vault.create(
      { name: 'DEAD', environment: 'development', value: 'value-that-died' },
      ADMIN,
    )
    const { $client: client } = before.store.orm
    const past = client.prepare('SELECT * FROM secrets WHERE id = ?').get(old.id) as Record<string, unknown>
    await before.vault.update(old.id, 'the-value-of-today', ADMIN)
    await before.vault.delete(dead.id, ADMIN)
    const names = Object.keys(past)
    const put = (row: Record<string, unknown>) =>
      client.prepare(`INSERT OR REPLACE INTO secrets (${names}) VALUES (${names.map((name) => `@${name}`)})`).run(row)
    put(past)
    put({ ...past, id: 'secret-planted', name: 'PLANTED' })
    client.prepare('DELETE FROM secrets WHERE id = ?').run(gone.id)
    client.prepare('UPDATE secrets SET deleted_at = NULL WHERE id = ?').run(dead.id)
    await before.close()
    const { vault, events } = await openVault(path)
    const reported = events.flatMap((event) => (event.type === 'vault.broken' ? [event.data.secret_id] : []))
    expect(reported.sort()).toEqual([old.id, gone.id, dead.id, 'secret-planted'].sort())
    for (const id of [old.id, dead.id, 'secret-planted']) {
      await expect(vault.reveal(id, ADMIN)).rejects.toEqual(code('vault_broken'))
    }
    await expect(vault.revealEnvironment('development', ADMIN)).rejects.toEqual(code('vault_broken'))
    expect(vault.valueOf('OLD', 'development')).toBeUndefined()
  })

  test('a row of the vault and its row of the audit, put back together from the past, are noticed: that row was edited', async () => {
    const path = newPath()
    const before = await openVault(path)
    const { id } = await before.vault.create(
      { name: 'A', environment: 'development', value: 'the-leaked-value' },
      ADMIN,
    )
    const { $client: client } = before.store.orm
    const past = client.prepare('SELECT * FROM secrets').get() as Record<string, unknown>
    const details = client.prepare("SELECT details FROM audit WHERE action = 'secret.create'").pluck().get()
    await before.vault.update(id, 'the-value-of-today', ADMIN)
    for (const [name, value] of Object.entries(past)) client.prepare(`UPDATE secrets SET "${name}" = ?`).run(value)
    client.exec('DROP TRIGGER audit_is_never_updated')
    client.prepare("UPDATE audit SET details = ? WHERE action = 'secret.update'").run(details)
    await before.close()
    const { vault } = await openVault(path)
    await expect(vault.reveal(id, ADMIN)).rejects.toEqual(code('vault_broken'))
  })

  test('a row of the vault is useless without the master key', async () => {
    const path = newPath()
    const before = await openVault(path)
    await before.vault.create({ name: 'A', environment: 'development', value: 'value-of-a' }, ADMIN)
    before.store.orm.$client.exec("DELETE FROM meta WHERE key = 'vault'")
    await before.close()
    const { vault } = await openVault(path)
    expect(vault.state).toMatchObject({ state: 'locked', why: 'broken' })
  })
})

test('no value is in the store, its log or any file beside it, after all that can be done with it', async () => {
  const path = newPath()
  const { vault, events, close } = await openVault(path)
  const { id } = await vault.create({ name: 'CANARY', environment: 'development', value: CANARY }, ADMIN)
  await vault.reveal(id, ADMIN)
  await vault.revealEnvironment('development', ADMIN)
  await vault.update(id, `${CANARY}-2`, ADMIN)
  await vault.rollBack(id, ADMIN)
  await vault.delete(id, ADMIN)
  await vault.create({ name: 'bad name', environment: 'development', value: CANARY }, ADMIN).catch(() => undefined)
  const reported = JSON.stringify(events)
  const look = () => {
    // The next head of the audit takes the name of the last one whenever it likes.
    for (const name of readdirSync(dirname(path)).filter((name) => !name.endsWith('.next'))) {
      const bytes = readFileSync(join(dirname(path), name))
      for (const needle of [CANARY, CANARY.slice(3, 20)]) {
        expect(bytes.includes(needle), name).toBe(false)
        expect(bytes.includes(Buffer.from(needle).toString('base64')), name).toBe(false)
        expect(bytes.includes(Buffer.from(needle).toString('hex')), name).toBe(false)
      }
    }
  }
  expect(readdirSync(dirname(path)).some((name) => name.endsWith('-wal'))).toBe(true)
  look()
  expect(reported).not.toContain('canary')
  await close()
  look()
})

test('a hundred secrets are given out exactly, from a copy of the file too', async () => {
  const path = newPath()
  const before = await openVault(path)
  const made = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      before.vault.create(
        { name: `SECRET_${index}`, environment: 'production', value: `value-number-${index}` },
        ADMIN,
      ),
    ),
  )
  await before.close()
  expect(made).toHaveLength(100)
  for (const suffix of ['', '.audit-key', '.audit-head']) copyFileSync(path + suffix, `${path}.copy${suffix}`)
  const { vault } = await openVault(`${path}.copy`)
  const values = await vault.revealEnvironment('production', ADMIN)
  expect(values.size).toBe(100)
  for (const [name, value] of values) expect(value).toBe(`value-number-${name.slice('SECRET_'.length)}`)
})

function insertIncident(client: Sqlite.Database, sealed: Buffer): void {
  client
    .prepare(
      `INSERT INTO pii_incidents (id, at, agent_id, type, severity, action, place, value_hash, start, "end", original, sealed_original)
       VALUES ('pii-1', '2026-01-01', 'a', 'email', 'CRITICAL', 'redact', 'reply', 'h', 0, 1, 'sealed', ?)`,
    )
    .run(sealed)
}

/** Every value that differs from the given one in one bit, and that the column can hold. */
function everyFlip(column: string, value: unknown): [string, unknown][] {
  if (typeof value === 'number')
    return Array.from({ length: 30 }, (_, bit) => [column, value ^ (1 << bit) || 77] as [string, number])
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value))
  return Array.from({ length: bytes.length * 8 }, (_, bit) => {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    return [column, Buffer.isBuffer(value) ? flipped : flipped.toString('latin1')] as [string, unknown]
  })
}

test('the secrets in the snapshot match the table, even without their events', async () => {
  const path = newPath()
  const before = await openVault(path)
  const { id } = await before.vault.create({ name: 'A', environment: 'development', value: 'value-of-a' }, ADMIN)
  expect(Object.keys(before.state.read().secrets)).toEqual([id])
  await before.close()
  const client = new Sqlite(path)
  client.exec("DELETE FROM events; DELETE FROM meta WHERE key = 'snapshot'")
  client.close()
  const { state, vault } = await openVault(path)
  expect(state.read().secrets).toEqual({ [id]: vault.get(id) })
})

test('a vault that was open and has no key any more is shown as locked, also without secrets', async () => {
  const path = newPath()
  const before = await openVault(path)
  expect(before.state.read().vault).toEqual({ state: 'open', hint: null })
  await before.close()
  const { state } = await openVault(path, null)
  const hint = expect.stringContaining('the key that sealed this vault')
  expect(state.read().vault).toMatchObject({ state: 'locked', hint })
})
