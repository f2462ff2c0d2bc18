/** The booth keeps its promises on a second server, in front of its visitors. */
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { findings, goTo, openBrowser, openPage } from '../support/browser.ts'
import { openTestRuntime } from '../support/runtime.ts'
import { button, pictures } from '../support/show.ts'

test('the booth shows the last cent, a redacted stream, the same cents after a kill, and the changed row', async () => {
  const cage = await openTestRuntime()
  await using browser = await openBrowser()
  const { page, faults } = await openPage(browser, cage.runtime.dashboardLink())
  onTestFinished(() => page.context().close())
  await page.getByText('No agent yet').waitFor()
  await goTo(page, '#/booth')
  await button(page, 'Run').click()
  await page.locator('.panel.flipped .row').first().waitFor()
  const textOf = async (name: string) => (await page.locator(`.panel.${name}`).innerText()).replace(/\s+/g, ' ')
  const cents = await textOf('last-cent')
  expect(cents).toContain('Iron Cage $0.01 of $0.01 ✔ within its limit 10 of 200 calls paid')
  expect(cents).toContain('$0.20 of $0.01 ✖ overshot 200 of 200 calls paid')
  expect(await textOf('stream')).toContain('Write to [EMAIL_REDACTED], or call [PHONE_REDACTED] before noon.')
  expect(await textOf('killed')).toContain('✔ the same')
  expect(await textOf('flipped')).toMatch(/✔ names row 2/)
  expect(await findings(page)).toEqual([])
  await page.screenshot({ path: join(pictures, 'booth.png') })
  // The server that shows it has none of it.
  expect(cage.rows()).toEqual([])
  expect(faults).toEqual([])
})
