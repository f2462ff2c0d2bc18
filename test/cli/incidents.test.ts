import { describe, expect, test } from 'vitest'
import { answer } from '../support/provider.ts'
import { openTestRuntime } from '../support/runtime.ts'
import { openPlace } from './support.ts'

describe('iron-cage incidents', () => {
  test('iron-cage incidents lists the type, place, time and agent of each finding, and never its value', async () => {
    const cage = await openTestRuntime()
    const { access_token: token } = await cage.login()
    const agent = cage.addAgent()
    const other = cage.addAgent()
    cage.provider.does(answer({ text: 'Ask jane.canary@northwind-traders.com, or call 415-733-2671.' }))
    await agent.chat()
    await other.chat()
    const place = openPlace()
    const env = { IRON_CAGE_URL: cage.url, IRON_CAGE_TOKEN: token }

    const all = JSON.parse((await place.type(['incidents', '--json'], { env })).out) as Record<string, unknown>[]
    expect(all).toHaveLength(4)
    const mine = all.filter(({ agent_id }) => agent_id === agent.id)
    expect(mine).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          type: 'email',
          severity: 'CRITICAL',
          action: 'redact',
          place: 'reply',
          start: 4,
          end: 37,
          original: 'not_kept',
          call_id: expect.stringMatching(/^call-/),
          value_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
        }),
        expect.objectContaining({ type: 'phone', severity: 'WARN', place: 'reply', original: 'not_kept' }),
      ]),
    )
    // The same value is recognised, across agents too.
    expect(new Set(all.map(({ value_hash }) => value_hash)).size).toBe(2)

    const listed = await place.type(['incidents', '--agent', agent.id], { env })
    expect(listed.out.trim().split('\n')).toHaveLength(3)
    expect(listed.out).toMatch(/EMAIL +HIGH +redact +reply +4–37 +[0-9a-f]{8} +not kept/)
    expect(listed.out).not.toContain('jane')
    expect(await place.type(['incidents', '--agent', agent.id.slice(0, -1)], { env })).toMatchObject({
      out: listed.out,
    })
    expect(await place.type(['incidents', '--agent', 'nobody'], { env })).toMatchObject({
      code: 0,
      out: '',
      err: 'no personal data was found\n',
    })
  })
})
