/** The page of calls: found, opened and exported, by everybody and on any screen. */
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { findings, openBrowser, openPage, resizeTo, THEMES } from '../support/browser.ts'
import { openTestRuntime } from '../support/runtime.ts'
import { button, pictures } from '../support/show.ts'

let browser: Browser

beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

test('calls are filtered, opened, and exported, without a mouse and on any screen', async () => {
  const cage = await openTestRuntime()
  const [first, second] = [cage.addAgent({ name: 'lister' }), cage.addAgent({ name: 'other' })]
  for (let call = 0; call < 3; call++) await first.chat()
  await second.chat({ model: 'nobody-knows' })
  const { page, faults } = await openPage(browser, cage.runtime.dashboardLink())
  onTestFinished(() => page.context().close())
  await page.getByRole('link', { name: 'Calls', exact: true }).click()
  const rows = page.locator('.list tbody tr')
  await expect.poll(() => rows.count()).toBe(4)

  await page.getByLabel('Filter by outcome').selectOption('failed')
  await expect.poll(() => rows.count()).toBe(1)
  await rows.getByText('price unknown').waitFor()
  await page.getByLabel('Filter by outcome').selectOption('')
  await page.getByLabel('Filter by agent').selectOption(first.id)
  await expect.poll(() => rows.count()).toBe(3)
  await page.waitForURL(new RegExp(`#/calls\\?agent=${first.id}$`))

  await rows.first().getByRole('link').focus()
  await page.keyboard.press('Enter')
  const detail = page.locator('.panel.call')
  await detail.getByText('Tokens in / out').waitFor()
  await detail.locator('.moments li').first().waitFor()
  expect(await detail.innerText()).toMatch(/\$0\.005 of \$0\.\d+ held/)
  // The address shows the same view to others.
  await page.reload()
  await detail.getByText('Tokens in / out').waitFor()
  for (const { colorScheme, rules } of THEMES) {
    await page.emulateMedia({ colorScheme })
    expect(await findings(page, rules), colorScheme).toEqual([])
    await page.screenshot({ path: join(pictures, `calls-${colorScheme}.png`) })
  }
  for (const width of [1366, 768, 390]) {
    await resizeTo(page, width, 844)
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)
    await page.screenshot({ path: join(pictures, `calls-${width}.png`), fullPage: true })
  }
  await page.keyboard.press('Escape')
  await detail.waitFor({ state: 'detached' })
  const download = page.waitForEvent('download')
  await button(page, 'CSV').click()
  expect((await download).suggestedFilename()).toBe('calls.csv')
  expect(faults).toEqual([])
})

test('a search of the event log goes back until it finds, however far, also when a page of it fails', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const say = (text: string) =>
    cage.runtime.state.record({
      type: 'agent.output',
      level: 'INFO',
      agent_id: agent.id,
      message: text,
      data: { stream: 'stdout', text },
    })
  say('the needle')
  for (let line = 1; line <= 3_500; line++) say(`line ${line}`)
  const { page } = await openPage(browser, cage.runtime.dashboardLink())
  onTestFinished(() => page.context().close())
  await page.getByText('Agent status').waitFor()
  await page.route('**/api/events?*', (route) => route.abort(), { times: 1 })
  await page.getByLabel('Search the event log').fill('the needle')
  await page.locator('.event', { hasText: 'the needle' }).waitFor()
  await page.getByLabel('Search the event log').fill('no such thing')
  await page.getByText('No events match “no such thing”.').waitFor()
})
