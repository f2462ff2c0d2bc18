/** How long a token of a client works: never longer than its lifetime, even when the clock is changed. */
import { request } from 'undici'
import { expect, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { chatFrames, streams } from '../support/provider.ts'
import { openTestRuntime, send } from '../support/runtime.ts'

test('revoking a token ends its stream, which is charged for the delivered part, and no other stream', async () => {
  const cage = await openTestRuntime()
  const { access_token: admin } = await cage.login()
  const make = async () =>
    (await cage.post('/api/tokens', { name: 'client', budget_usd: '5' }, admin)).json() as Record<string, string>
  const [revoked, other] = [await make(), await make()]
  const frames = chatFrames({ text: Array(30).fill('word ') }).split(/(?<=\n\n)/)
  cage.provider.does(streams(frames.slice(0, 20), 'hangs'))
  const open = async (token: string) => {
    const { body } = await request(`${cage.url}/gateway/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'penny',
        max_tokens: 50,
        stream: true,
        messages: [{ role: 'user', content: 'x' }],
      }),
    })
    const reader = body[Symbol.asyncIterator]()
    await reader.next()
    return { body, reader }
  }
  const [cut, kept] = [await open(revoked.token!), await open(other.token!)]
  const { status } = await send(`${cage.url}/api/tokens/${revoked.id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${admin}` },
  })
  expect(status).toBe(204)
  const readOn = async () => {
    while (!(await cut.reader.next()).done);
  }
  await expect(readOn()).rejects.toThrow()
  await expect.poll(() => cage.rows().find(({ agent_id }) => agent_id === revoked.agent_id)!.state).toBe('charged')
  const row = (agent: string) => cage.rows().find(({ agent_id }) => agent_id === agent)!
  expect(row(revoked.agent_id!).cost_nanos).toBeGreaterThan(0)
  expect(row(other.agent_id!).state).toBe('held')
  kept.body.destroy()
  await expect.poll(() => row(other.agent_id!).state).toBe('charged')
})

test('an expired token and an expired session stay so when the clock goes back', async () => {
  let ahead = 0
  const cage = await openTestRuntime({ clock: { ...systemClock, now: () => Date.now() + ahead } })
  const { access_token } = await cage.login()
  const body = { name: 'short', role: 'viewer', expires_in_s: 60 }
  const token = (await cage.post('/api/tokens', body, access_token)).json().token as string
  const statuses = async () => [await cage.get('/api/snapshot', token), await cage.get('/api/snapshot', access_token)]
  expect((await statuses()).map(({ status }) => status)).toEqual([200, 200])
  ahead = 20 * 60_000
  expect((await statuses()).map(({ status }) => status)).toEqual([401, 401])
  ahead = 0
  expect((await statuses()).map(({ status }) => status)).toEqual([401, 401])
})
