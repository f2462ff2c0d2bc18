/** The dashboard without a link: a form, a session, and its end when an admin ends it. */
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { openBrowser, openPage } from '../support/browser.ts'
import { budgetWarned } from '../support/events.ts'
import { freePort } from '../support/free-port.ts'
import { openTestRuntime } from '../support/runtime.ts'

const pictures = resolve(import.meta.dirname, '../../test-output')
let browser: Browser

beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

test('signing out ends the session and its tokens', async () => {
  const cage = await openTestRuntime()
  const { page, faults } = await openPage(browser, cage.runtime.dashboardLink())
  onTestFinished(() => page.context().close())
  await page.getByText('No agent yet').waitFor()
  const kept = await page.evaluate(() => sessionStorage.getItem('iron-cage-session'))
  const { access_token, refresh_token } = JSON.parse(kept!) as Record<string, string>
  expect((await cage.get('/api/auth/me', access_token)).status).toBe(200)

  await page.keyboard.press('Control+k')
  await page.getByRole('option', { name: 'Sign out' }).click()
  await page.getByLabel('Password').waitFor()
  expect(await page.evaluate(() => sessionStorage.length)).toBe(0)
  expect((await cage.get('/api/auth/me', access_token)).status).toBe(401)
  expect((await cage.post('/api/auth/refresh', { refresh_token })).status).toBe(401)
  await page.reload()
  await page.getByLabel('Password').waitFor()
  expect(faults).toEqual([])
})

test('a user signs in with a password, sees the dashboard, and is signed out when removed', async () => {
  const cage = await openTestRuntime()
  const { access_token: operator } = await cage.login()
  const password = 'correct horse battery'
  await cage.post('/api/users', { username: 'alice', password }, operator)
  mkdirSync(pictures, { recursive: true })
  // The link was used already.
  const code = cage.runtime.dashboardLink().split('#code=')[1]!
  await cage.post('/api/auth/exchange', { code })
  const { page, faults } = await openPage(browser, `${cage.url}/#code=${code}`)
  onTestFinished(() => page.context().close())
  await page.getByText('This link no longer works').waitFor()
  expect(await page.getByText('iron-cage status').count()).toBe(1)
  const submit = async (secret: string) => {
    await page.getByLabel('User name').fill('alice')
    await page.getByLabel('Password').fill(secret)
    await page.keyboard.press('Enter')
  }

  await submit('wrong horse')
  await page.getByRole('alert').getByText('Wrong user name or password.').waitFor()
  await page.screenshot({ path: join(pictures, 'sign-in.png') })
  await submit(password)
  await page.getByText('No agent yet').waitFor()
  // The password is stored nowhere, and the address reveals nothing.
  const kept = await page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie]))
  expect(kept).not.toContain('horse')
  expect(page.url()).toBe(`${cage.url}/`)
  expect(await page.content()).not.toContain(password)

  // A reload keeps the session; a removal ends it at once.
  await page.reload()
  await page.getByText('No agent yet').waitFor()
  const removed = await fetch(`${cage.url}/api/users/alice`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${operator}` },
  })
  expect(removed.status).toBe(204)
  await page.getByLabel('Password').waitFor()
  await submit(password)
  await page.getByRole('alert').getByText('Wrong user name or password.').waitFor()
  // The refusals themselves, which the browser's console shows; nothing of scripts or of the policy of the page.
  expect(faults.filter((fault) => !/status of 401/.test(fault))).toEqual([])
})

test('a second tab gets its own session, and a viewer sees no admin buttons', async () => {
  const cage = await openTestRuntime()
  cage.addAgent()
  const { access_token: operator } = await cage.login()
  const password = 'correct horse battery'
  await cage.post('/api/users', { username: 'vic', password, role: 'viewer' }, operator)
  const { page } = await openPage(browser, cage.url)
  onTestFinished(() => page.context().close())
  await page.getByLabel('User name').fill('vic')
  await page.getByLabel('Password').fill(password)
  await page.keyboard.press('Enter')
  await page.getByText('Agent status').waitFor()
  cage.runtime.state.record({ ...budgetWarned, agent_id: Object.values(cage.runtime.state.read().agents)[0]!.id })
  await page.locator('[data-alert=budget_warning]').waitFor()

  const second = await page.context().newPage()
  await second.goto(cage.url)
  await second.getByText('Agent status').waitFor()
  const tokens = await Promise.all(
    [page, second].map((tab) => tab.evaluate(() => sessionStorage.getItem('iron-cage-session'))),
  )
  expect(new Set(tokens).size).toBe(2)
  const names = await page.getByRole('button').allInnerTexts()
  expect(names.filter((name) => /^(Pause agent|Stop|Approve|Acknowledge|Dismiss|\+ Add|Restart)/.test(name))).toEqual(
    [],
  )
  expect(names).toContain('Details')
})

test('a restart of the server signs no one out', async () => {
  const first = await openTestRuntime({ server: { port: await freePort() } })
  const { access_token: operator } = await first.login()
  const password = 'correct horse battery'
  await first.post('/api/users', { username: 'alice', password }, operator)
  const { page } = await openPage(browser, first.url)
  onTestFinished(() => page.context().close())
  await page.getByLabel('User name').fill('alice')
  await page.getByLabel('Password').fill(password)
  await page.keyboard.press('Enter')
  await page.getByText('No agent yet').waitFor()
  await first.close()
  // The vault is locked, so the access tokens of before are not accepted.
  const again = await openTestRuntime({ server: { port: Number(new URL(first.url).port) }, folder: first.folder })
  again.addAgent()
  await page.getByText('Agent status').waitFor()
})
