/** Every page without a mouse: the menu leads to it, Tab reaches all of it in order, and Enter, Escape and arrows work it. */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { newMasterKey } from '../../src/vault/master-key.ts'
import { openBrowser, openPage } from '../support/browser.ts'
import { openTestRuntime } from '../support/runtime.ts'
import { tabTo } from '../support/show.ts'

let browser: Browser

beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

async function open(): Promise<{ page: Page; agentIds: string[] }> {
  const cage = await openTestRuntime({ masterKey: newMasterKey() })
  const agents = ['lister', 'writer'].map((name) => cage.addAgent({ name }))
  for (const agent of agents) await agent.chat()
  const { page } = await openPage(browser, cage.runtime.dashboardLink())
  onTestFinished(() => page.context().close())
  await page.locator('.agent-table').waitFor()
  return { page, agentIds: agents.map(({ id }) => id) }
}

/** Opens the menu, types, and takes the first entry. */
async function goByMenu(page: Page, words: string): Promise<void> {
  await page.keyboard.press('Control+k')
  await page.getByRole('combobox', { name: 'Go to or do' }).waitFor()
  await page.keyboard.type(words)
  await page.keyboard.press('Enter')
}

/**
 * Presses Tab once for everything that can have the focus. Returns the elements that were skipped, and those where the
 * focus was not visible.
 */
async function walk(page: Page): Promise<string[]> {
  const count = await page.evaluate(() => {
    const all = document.querySelectorAll<HTMLElement>('a[href], button, input, select, textarea, [tabindex="0"]')
    const reachable = [...all].filter(
      (element) => element.checkVisibility({ visibilityProperty: true }) && !element.matches(':disabled'),
    )
    for (const element of document.querySelectorAll<HTMLElement>('[data-step]')) delete element.dataset.step
    for (const [index, element] of reachable.entries()) element.dataset.step = String(index)
    ;(document.activeElement as HTMLElement | null)?.blur()
    addEventListener('focusin', ({ target }) => {
      const element = target as HTMLElement
      const isSeen = getComputedStyle(element).outlineStyle !== 'none'
      element.dataset.step = isSeen ? 'seen' : 'unseen'
    })
    return reachable.length
  })
  for (let step = 0; step < count; step++) await page.keyboard.press('Tab')
  return page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('[data-step]:not([data-step=seen])')].map(
      ({ dataset, outerHTML }) =>
        `${dataset.step === 'unseen' ? 'the focus is not seen on' : 'not reached'}: ${outerHTML.slice(0, 80)}`,
    ),
  )
}

test('the menu leads to every page, and Tab to everything on it, with the focus always seen', async () => {
  const { page } = await open()
  for (const [words, shown] of [
    ['all agents', '.agent-table'],
    ['lister', '.panel.status'],
    ['calls', '.panel.calls .list'],
    ['runs', '.panel.runs .list'],
    ['incidents', '.panel.playground'],
    ['audit', '.panel.audit .list'],
    ['settings', '.panel.prices .list tbody tr'],
    ['booth', '.booth'],
    ['api reference', '.api-page'],
  ] as const) {
    await goByMenu(page, words)
    await page.locator(shown).first().waitFor()
    expect(await walk(page), words).toEqual([])
  }
})

test('arrows choose in the menu, Enter opens an agent, an event and a call, Space compares two runs, and Escape closes', async () => {
  const { page, agentIds } = await open()
  await page.keyboard.press('Control+k')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await page.locator('.panel.calls .list').waitFor()
  const newest = await page.locator('.panel.calls tbody a').first().innerText()
  await tabTo(page, newest)
  await page.keyboard.press('Enter')
  await page.locator('.panel.call').waitFor()
  await page.keyboard.press('Escape')
  await page.locator('.panel.call').waitFor({ state: 'detached' })

  await goByMenu(page, 'all agents')
  await tabTo(page, 'writer')
  await page.keyboard.press('Enter')
  await page.waitForURL(new RegExp(agentIds[1]!))
  await page.keyboard.press('/')
  await page.keyboard.type('started')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await page.locator('.event-facts', { hasText: 'agent.started' }).waitFor()
  await page.keyboard.press('Escape')
  await page.locator('.event-facts').waitFor({ state: 'detached' })

  await goByMenu(page, 'runs')
  for (const id of agentIds) {
    await tabTo(page, `Compare ${id}`)
    await page.keyboard.press('Space')
  }
  await page.locator('.comparison').waitFor()

  await goByMenu(page, 'settings')
  await tabTo(page, '+ Add user')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('+ Add user')
})
