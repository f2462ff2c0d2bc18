/** An open circuit does not survive a correction of the settings that it opened under. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { configSchema } from '../../src/config/schema.ts'
import { openStore } from '../../src/db/store.ts'
import { changedSettings } from '../../src/gateway/changed-settings.ts'
import { openTestRuntime } from '../support/runtime.ts'

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'iron-cage-changed-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

test('with another address the first call probes, the event names the setting, and the circuit closes', async () => {
  const place = folder()
  const dead = { base_url: 'http://127.0.0.1:9/v1', breaker: { failures: 2, cooldown_s: 600 } }
  const before = await openTestRuntime({ folder: place, others: { local: dead }, faults: /./ })
  const agent = before.addAgent()
  const call = (by: typeof agent) => by.send('local', 'POST', '/v1/chat/completions', CALL)
  for (let calls = 0; calls < 2; calls++) expect((await call(agent)).status).toBe(502)
  expect((await call(agent)).text).toContain('circuit_open')
  await before.close()

  // The same one again, at the address where the provider answers.
  const after = await openTestRuntime({ folder: place, others: { local: { breaker: dead.breaker } } })
  const opened = after.runtime.state.findEvents({ type: 'circuit.half_opened', limit: 1 })[0]
  expect(opened?.message).toBe('Circuit HALF_OPEN for local: providers.local.base_url changed, one call probes')
  expect((await call(after.addAgent())).status).toBe(200)
  expect(after.runtime.state.read().circuits.local).toMatchObject({ state: 'closed' })
})

const CALL = JSON.stringify({ model: 'penny', max_tokens: 4, messages: [{ role: 'user', content: 'Say hello.' }] })

test('only a different value is a change, and values are not stored in clear', () => {
  const store = openStore({ path: join(folder(), 'state.db') })
  const changes = (settings: object) => Object.fromEntries(changedSettings(store.meta, configSchema.parse(settings)))
  const crm = { base_url: 'https://crm.example.com/canary', timeout_s: 5 }
  expect(changes({ services: { crm } })).toEqual({})
  expect(changes({ services: { crm } })).toEqual({})
  expect(changes({ services: { crm: { ...crm, timeout_s: 6 }, new: crm } })).toEqual({
    crm: ['services.crm.timeout_s'],
  })
  expect(JSON.stringify(store.meta.find(''))).not.toContain('canary')
  store.close()
})
