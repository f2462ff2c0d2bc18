import { describe, expect, test } from 'vitest'
import { openMailbox, openReceiver } from '../alerts/support.ts'
import { openTestRuntime, type RuntimeOptions } from '../support/runtime.ts'
import { openPlace } from './support.ts'

async function openAlerts(alerts: RuntimeOptions['alerts']) {
  const cage = await openTestRuntime({ alerts })
  const { access_token: token } = await cage.login()
  const place = openPlace()
  return {
    cage,
    run: (...args: string[]) =>
      place.type(['alerts', ...args], { env: { IRON_CAGE_URL: cage.url, IRON_CAGE_TOKEN: token } }),
  }
}

describe('iron-cage alerts', () => {
  test('tests every channel, also one for other events only, and reports that all arrived', async () => {
    await using mailbox = await openMailbox()
    await using receiver = await openReceiver()
    const { run } = await openAlerts({
      email: { to: 'ops@company.com', from: 'cage@company.com', smtp_url: mailbox.url },
      webhooks: [{ url: receiver.url, events: ['pii.found'] }],
    })
    const tested = await run('test')
    expect(tested).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^e-mail +delivered\nwebhook \S+ +delivered\n$/),
    })
    expect(mailbox.messages).toHaveLength(1)
    expect(JSON.parse(receiver.requests[0]!.body)).toMatchObject({ kind: 'test' })
    expect((await run('list')).out).toMatch(/alert-\S+ .* Test +(e-mail|webhook)/)
    const [alert] = JSON.parse((await run('list', '--json')).out) as { id: string; failed: unknown[] }[]
    expect(alert!.failed).toEqual([])
    expect(await run('resend', alert!.id)).toMatchObject({ code: 0, out: 'no delivery of it was given up\n' })
  })

  test('the alerts commands name the missing configuration and an unknown alert', async () => {
    const { run } = await openAlerts({ webhooks: [] })
    expect(await run('test')).toMatchObject({
      code: 2,
      err: expect.stringContaining('set alerts.email or alerts.webhooks'),
    })
    expect(await run('resend', 'alert-none')).toMatchObject({ code: 5 })
  })
})
