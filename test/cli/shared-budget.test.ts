/** The shared budget in the output of a machine that has joined a Control Panel. */
import { expect, test } from 'vitest'
import { fromUsd, usd } from '../../src/core/money.ts'
import { openTestPanel } from '../panel/open-panel.ts'
import { freePort } from '../support/free-port.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { openPlace, type Place } from './support.ts'

const until = async (place: Place, ...shown: RegExp[]) => {
  for (const text of shown) await expect.poll(async () => (await place.type(['status'])).out).toMatch(text)
}

test('start and status show the shared, spent and free money, even while the panel or the server is gone', async () => {
  const [database, port] = [temporaryFile('panel.db'), await freePort()]
  const panel = await openTestPanel({ database, port })
  const { fleet, organizationId } = panel
  const limit = { limit: fromUsd(usd('5')) }
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, limit, 'ada')
  const token = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const place = openPlace()
  expect((await place.type(['status'])).code).toBe(7)
  expect(await place.type(['join', panel.url, '--token', token, '--name', 'one'])).toMatchObject({ code: 0 })
  await until(
    place,
    /^shared {2}waiting for the Control Panel\npanel {3}http:\S+, joined as "one"; connects when a server runs$/m,
  )

  const server = place.start(['serve', '--port', '0'])
  await server.shows('#code=')
  const shared = 'organization default: $0.00 of $5.00 spent, $5.00 free, $0.00 lent'
  expect(server.out).toContain(`├─ Shared         ${shared}\n`)
  expect(server.out).toMatch(/├─ Panel {10}http:\S+, joined as "one"\n/)
  await until(
    place,
    new RegExp(`^shared  ${shared.replaceAll(/[$.]/g, '\\$&')}\npanel   http:\\S+, joined as "one"$`, 'm'),
  )
  const asJson = async () => JSON.parse((await place.type(['status', '--json'])).out).shared
  expect(await asJson()).toMatchObject({
    ...{ panel: panel.url, name: 'one', fault: null, can_spend: true, lent_usd: '0' },
    balances: [{ budget: 'organization default', limit_usd: '5', spent_usd: '0', free_usd: '5', ends_at: null }],
  })

  await panel.close()
  await until(
    place,
    /^panel {3}the Control Panel at \S+ cannot be reached: \S+; agents go on with what this machine was lent$/m,
  )
  expect(await asJson()).toMatchObject({ fault: { code: 'panel_unreachable' }, can_spend: true })
  expect((await place.type(['status'])).out).toMatch(/^shared {2}organization .* lent, as of 20\S+Z$/m)

  server.child.kill('SIGKILL')
  await server.ended
  const cutOff = place.start(['serve', '--port', '0'])
  await cutOff.shows('#code=')
  expect(cutOff.out).toMatch(
    /├─ Shared +waiting for the Control Panel\n.*├─ Panel +the Control Panel at \S+ cannot be reached: ECONNREFUSED; calls are refused until it answers\n/,
  )
})

test('the output on a machine without a panel does not mention one', async () => {
  const place = openPlace()
  const server = place.start(['serve', '--port', '0'])
  await server.shows('#code=')
  expect(server.out).not.toMatch(/Shared|Panel/)
  expect((await place.type(['status'])).out).not.toMatch(/shared|panel/)
  expect(JSON.parse((await place.type(['status', '--json'])).out).shared).toBe(null)
})
