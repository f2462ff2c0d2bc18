import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { findings, openBrowser, openPage, resizeTo, THEMES } from '../support/browser.ts'
import { openTestRuntime } from '../support/runtime.ts'
import { pictures } from '../support/show.ts'

let browser: Browser

beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

test('the page about the API has every route, is reached from the keys, and reads well in both themes', async () => {
  const cage = await openTestRuntime()
  // The dashboard shows the only agent by itself; the page stays where it is.
  cage.addAgent()
  const { page, faults } = await openPage(browser, cage.runtime.dashboardLink())
  onTestFinished(() => page.context().close())
  await page.getByText('Agent status').waitFor()
  await page.keyboard.press('?')
  await page.getByRole('link', { name: 'The API of this server' }).click()
  await page.getByRole('heading', { name: 'Agents', exact: true }).waitFor()
  await page.waitForURL(/#\/api$/)

  const { access_token: token } = await cage.login()
  const { paths } = (await cage.get('/api/openapi.json', token)).json() as { paths: Record<string, object> }
  const routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const ofTwins = routes.filter((name) => / \/(agent|secrets)\b/.test(name))
  expect(await page.locator('.route').count()).toBe(routes.length - ofTwins.length)

  const budget = page.locator('.route', { hasText: '/api/agents/{id}/budget' })
  await budget.locator('summary').click()
  await expect
    .poll(() => budget.locator('dd').allTextContents())
    .toContainEqual('string | number · required · US dollars such as "25.00" or 25')
  expect(await budget.locator('h3').allTextContents()).toEqual([
    'Parameters',
    'Body',
    'Or',
    'Response 200, application/json',
  ])
  expect(await budget.textContent()).toContain('Also at /agent/{id}/budget')

  for (const { colorScheme, rules } of THEMES) {
    await page.emulateMedia({ colorScheme })
    await page.screenshot({ path: join(pictures, `api-page-${colorScheme}.png`) })
    expect(await findings(page, rules), colorScheme).toEqual([])
  }
  await resizeTo(page, 390, 844)
  await page.screenshot({ path: join(pictures, 'api-page-phone.png') })
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)

  await page.goBack()
  await page.getByText('Agent status').waitFor()
  expect(faults).toEqual([])
})
