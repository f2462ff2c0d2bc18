/** The parts that the API stands on can each be opened by hand, and a part that is given others is given all it needs. */

import { expect, test } from 'vitest'
import { api } from '../../src/api/server.ts'
import { toAgentId } from '../../src/core/ids.ts'
import { dollars } from '../support/money.ts'
import { openRooms } from '../support/rooms.ts'

const EMAIL = 'jane.canary@northwind-traders.com'

test('the API runs on rooms that were opened by hand, and authorizes with them', async () => {
  const { rooms, close } = await openRooms({ budget: { server_usd: '5' } })
  const { request } = api(rooms)
  const { access_token: token } = await rooms.access.sessions.exchange(rooms.access.sessions.newCode())
  const get = async (path: string, headers = {}) => request(path, { headers })
  rooms.money.ledger.accounts.openAccount(toAgentId('lg-1'), dollars('2'))
  expect((await get('/api/budgets')).status).toBe(401)
  const answered = await get('/api/budgets', { authorization: `Bearer ${token}` })
  expect(await answered.json()).toMatchObject({ server: { limit_usd: '5', spent_usd: '0' } })
  expect(rooms.store.audit.last()).toMatchObject({ action: 'auth.failed' })
  await close()
})

test('another policy holds at once for replies, logs and events, and for whoever asks what it is', async () => {
  const { rooms, close } = await openRooms({ safety: { mode: 'redact' } })
  const { safety, state } = rooms
  const record = () =>
    state.record({ type: 'config.refused', level: 'INFO', message: EMAIL, data: { file: null, reason: '' } })
  record()
  safety.apply({ ...rooms.config.safety, mode: 'warn', allow_domains: ['northwind-traders.com'] })
  record()
  expect(state.read().recent.map(({ message }) => message)).toEqual(['[EMAIL_REDACTED]', EMAIL])
  expect([safety.mode, safety.scrub(EMAIL), safety.replies.clean(EMAIL)]).toEqual(['warn', EMAIL, EMAIL])
  expect(rooms.config.safety.mode).toBe('redact')
  await close()
})
