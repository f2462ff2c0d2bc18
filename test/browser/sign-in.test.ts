/** The dashboard without a link: a form, a session, and out again when somebody else decides so. */
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { openBrowser, openPage } from '../support/browser.ts'
import { openTestRuntime } from '../support/runtime.ts'

const pictures = resolve(import.meta.dirname, '../../test-output')

test('signing out ends the session and its tokens', async () => {
  const cage = await openTestRuntime()
  await using browser = await openBrowser()
  const { page, faults } = await openPage(browser, cage.runtime.dashboardLink())
  await page.getByText('No agent yet').waitFor()
  const kept = await page.evaluate(() => sessionStorage.getItem('iron-cage-session'))
  const { access_token, refresh_token } = JSON.parse(kept!) as Record<string, string>
  expect((await cage.get('/api/auth/me', access_token)).status).toBe(200)

  await page.getByRole('button', { name: 'Sign out' }).click()
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
  await using browser = await openBrowser()
  // The link was used already.
  const code = cage.runtime.dashboardLink().split('#code=')[1]!
  await cage.post('/api/auth/exchange', { code })
  const { page, faults } = await openPage(browser, `${cage.url}/#code=${code}`)
  await page.getByText('This link no longer works').waitFor()
  expect(await page.getByText('iron-cage status').count()).toBe(1)
  const submit = async (secret: string) => {
    await page.getByLabel('User name').fill('alice')
    await page.getByLabel('Password').fill(secret)
    await page.keyboard.press('Enter')
  }

  await submit('wrong horse')
  await page.getByRole('alert').getByText('no user has this name and password').waitFor()
  await page.screenshot({ path: join(pictures, 'sign-in.png') })
  await submit(password)
  await page.getByText('No agent yet').waitFor()
  // What was typed is nowhere any more, and the address reveals nothing.
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
  await page.getByRole('alert').getByText('no user has this name and password').waitFor()
  // The refusals themselves, which the browser's console shows; nothing of scripts or of the policy of the page.
  expect(faults.filter((fault) => !/status of 401/.test(fault))).toEqual([])
})
