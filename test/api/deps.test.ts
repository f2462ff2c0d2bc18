/** The parts that the API stands on can each be opened by hand, and a part that is given others is given all it needs. */

import { expect, test } from 'vitest'
import { api } from '../../src/api/server.ts'
import { toAgentId } from '../../src/core/ids.ts'
import { openDeps } from '../support/deps.ts'
import { dollars } from '../support/money.ts'

const EMAIL = 'jane.canary@northwind-traders.com'

test('the API runs on deps that were opened by hand, and authorizes with them', async () => {
  const { deps, close } = await openDeps({ budget: { server_usd: '5' } })
  const { request } = api(deps)
  const { access_token: token } = await deps.access.sessions.exchange(deps.access.sessions.newCode())
  const get = async (path: string, headers = {}) => request(path, { headers })
  deps.money.ledger.accounts.openAccount(toAgentId('lg-1'), dollars('2'))
  expect((await get('/api/budgets')).status).toBe(401)
  const answered = await get('/api/budgets', { authorization: `Bearer ${token}` })
  expect(await answered.json()).toMatchObject({ server: { limit_usd: '5', spent_usd: '0' } })
  expect(deps.store.audit.last()).toMatchObject({ action: 'auth.failed' })
  await close()
})

test('another policy applies at once to replies, logs, events and the reported mode', async () => {
  const { deps, close } = await openDeps({ safety: { mode: 'redact' } })
  const { safety, state } = deps
  const record = () =>
    state.record({ type: 'config.refused', level: 'INFO', message: EMAIL, data: { file: null, reason: '' } })
  record()
  safety.apply({ ...deps.config.safety, mode: 'warn', allow_domains: ['northwind-traders.com'] })
  record()
  expect(state.read().recent.map(({ message }) => message)).toEqual(['[EMAIL_REDACTED]', EMAIL])
  expect([safety.mode, safety.scrub(EMAIL), safety.replies.clean(EMAIL)]).toEqual(['warn', EMAIL, EMAIL])
  expect(deps.config.safety.mode).toBe('redact')
  await close()
})
