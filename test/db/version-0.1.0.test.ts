/** `of-0.1.0/` is a database with its other files, as version 0.1.0 wrote it; `state.sql` is its text. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'
import { toAgentId } from '../../src/core/ids.ts'
import { COMPANIONS } from '../../src/db/files.ts'
import { openTestRuntime } from '../support/runtime.ts'

const OF_0_1_0 = join(import.meta.dirname, 'of-0.1.0')
const AGENT = toAgentId('w-7ab26a49')

/** A folder with that database in it. */
function unpack(): string {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-0.1.0-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'state.db')
  const client = new Sqlite(path)
  client.exec(readFileSync(join(OF_0_1_0, 'state.sql'), 'utf8'))
  client.close()
  for (const pathOf of COMPANIONS) copyFileSync(pathOf(join(OF_0_1_0, 'state.db')), pathOf(path))
  return folder
}

test('a database of version 0.1.0 is brought over with its agents, money, people, tokens, secrets and audit', async () => {
  const masterKey = readFileSync(join(OF_0_1_0, 'master-key'), 'utf8').trim()
  const cage = await openTestRuntime({ folder: unpack(), masterKey })
  const { runtime } = cage
  expect(runtime.state.read().agents[AGENT]).toMatchObject({ name: 'worker', state: 'completed', spent_usd: '0.25' })
  expect(runtime.ledger.accounts.balance(AGENT)).toMatchObject({ limit: 5_000_000_000, spent: 250_000_000, held: 0 })

  const { access_token: admin } = await cage.login()
  const login = { username: 'ann', password: 'correct horse battery staple' }
  expect(await cage.post('/api/auth/login', login)).toMatchObject({ status: 200 })
  expect((await cage.get('/api/tokens', admin)).json().tokens).toMatchObject([{ name: 'ci', role: 'agent' }])
  const { secrets } = (await cage.get('/api/secrets', admin)).json() as { secrets: { id: string }[] }
  expect(secrets).toMatchObject([{ name: 'OPENAI_API_KEY', environment: 'development' }])
  const revealed = (await cage.get(`/api/secrets/${secrets[0]!.id}?reveal=true`, admin)).json()
  expect(revealed.value).toBe('sk-of-version-010-abcdefgh')
  expect((await cage.get('/api/audit/verify', admin)).json()).toMatchObject({ ok: true })
})
