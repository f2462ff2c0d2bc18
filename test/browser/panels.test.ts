import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { showUsd } from '../../src/core/money.ts'
import { findings, openBrowser, openPage, resizeTo, THEMES } from '../support/browser.ts'
import { button, doneOnScreen, openShow, pictures, type Show, stateOnScreen, tabTo } from '../support/show.ts'

const VALUE = 'sk-proj-canary-4f9a8b7c6d5e4f3a2b1c'
/** So long stays the agent at each lead of whose work nothing is to be seen. */
const STAYS_MS = 10_000
let browser: Browser

beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

async function addSecret({ page }: Show, name = 'LINKEDIN_KEY', value = VALUE): Promise<void> {
  await button(page, '+ Add').click()
  await page.getByLabel('Name').fill(name)
  await page.getByLabel('Value').fill(value)
  await button(page, 'Add').click()
  await page.locator(`[data-secret=${name}]`).waitFor()
}

describe('the secrets', () => {
  test('the secrets are added without a mouse, and their value is nowhere on the page', async () => {
    const show = await openShow(browser, { paceMs: STAYS_MS })
    const { page, runtime, faults } = show
    await tabTo(page, '+ Add')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.type('CLEARBIT_KEY')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Tab')
    await page.keyboard.type(VALUE)
    await page.keyboard.press('Enter')
    await page.locator('[data-secret=CLEARBIT_KEY]').waitFor()
    expect(runtime.vault.list({}).map(({ name }) => name)).toContain('CLEARBIT_KEY')
    expect(await page.content()).not.toContain(VALUE)
    expect(faults).toEqual([])
  })

  test('the secrets are revealed on demand, changed without showing the old value, deleted by typing their name, and restored', async () => {
    const show = await openShow(browser, { paceMs: STAYS_MS })
    const { page, runtime } = show
    await addSecret(show)
    const row = page.locator('[data-secret=LINKEDIN_KEY]')
    await row.getByRole('button', { name: 'Reveal LINKEDIN_KEY' }).click()
    await row.getByText(VALUE).waitFor()
    await row.getByRole('button', { name: 'Hide' }).click()
    await row.getByText(VALUE).waitFor({ state: 'detached' })
    expect(await page.content()).not.toContain(VALUE)

    await row.getByRole('button', { name: 'Edit LINKEDIN_KEY' }).click()
    expect(await page.getByRole('textbox', { name: 'New value' }).inputValue()).toBe('')
    await page.getByRole('textbox', { name: 'New value' }).fill('li-another-value-0001')
    await button(page, 'Rotate').click()
    await row.getByText(/rotated/).waitFor()
    expect(runtime.vault.list({}).find(({ name }) => name === 'LINKEDIN_KEY')).toMatchObject({ version: 2 })

    await row.getByRole('button', { name: 'Delete LINKEDIN_KEY' }).click()
    const really = page.getByRole('dialog').getByRole('button', { name: 'Delete' })
    expect(await really.isDisabled()).toBe(true)
    await page.getByLabel('Type LINKEDIN_KEY').fill('LINKEDIN_KEY')
    await really.click()
    await row.waitFor({ state: 'detached' })
    await page.locator('.gone', { hasText: 'LINKEDIN_KEY' }).getByRole('button', { name: 'Restore' }).click()
    await row.waitFor()
  })

  test('the page shows how to unlock a locked vault, and everything else works', async () => {
    const { page } = await openShow(browser, { paceMs: 50, isLocked: true })
    await page.getByText('The vault is locked.').waitFor()
    await page.locator('.locked', { hasText: 'iron-cage keygen' }).waitFor()
    expect(await page.getByRole('button', { name: '+ Add' }).count()).toBe(0)
    await doneOnScreen(page, 2)
  })

  test('a secret that could not be added shows the reason, and the form keeps its values', async () => {
    const show = await openShow(browser, { paceMs: STAYS_MS })
    const { page } = show
    await addSecret(show)
    await button(page, '+ Add').click()
    await page.getByLabel('Name').fill('LINKEDIN_KEY')
    await page.getByLabel('Value').fill('again-and-again')
    await button(page, 'Add').click()
    await page.getByRole('dialog').getByRole('alert').waitFor()
    expect(await page.getByLabel('Name').inputValue()).toBe('LINKEDIN_KEY')
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  })
})

describe('an address', () => {
  test('leads to one agent or to all, and the back button leads back', async () => {
    const { page, runtime, agentId, faults } = await openShow(browser, { paceMs: STAYS_MS })
    await page.waitForURL(`**/#/agents/${agentId}`)
    const { agentId: second } = await runtime.supervisor.start({
      script: 'demo/lead_gen_agent.py',
      name: 'second_agent',
    })
    await page.getByRole('link', { name: 'Iron Cage: all agents' }).click()
    await page.locator(`[data-agent=${second}]`).waitFor()
    expect(await page.locator('[data-agent]').count()).toBe(2)
    await page.screenshot({ path: join(pictures, 'overview.png') })
    await page.locator(`[data-agent=${second}]`).click()
    await page.getByText('Agent status').waitFor()
    await page.waitForURL(`**/#/agents/${second}`)
    await page.goBack()
    await page.locator(`[data-agent=${second}]`).waitFor()
    await page.goBack()
    await page.getByText('Agent status').waitFor()
    await page.waitForURL(`**/#/agents/${agentId}`)
    await page.goto(`${new URL(page.url()).origin}/#/agents/lg-00000000`)
    await page.getByText('No agent lg-00000000').waitFor()
    // The server is asked for it, as ended agents are not all in the page.
    expect(faults.filter((fault) => !/status of 404/.test(fault))).toEqual([])
  })

  test('the address holds the filters of the event log, so that a view can be shared', async () => {
    const { page, runtime, agentId } = await openShow(browser, { paceMs: 100 })
    await doneOnScreen(page, 3)
    await runtime.supervisor.stop(agentId, 'operator')
    await page.getByLabel('Levels shown').selectOption('with debug')
    await page.keyboard.press('/')
    await page.keyboard.type('Acme')
    await page.locator('.event', { hasText: 'Acme' }).first().click()
    await page.locator('.event-facts').waitFor()
    await page.waitForURL(/level=debug&q=Acme&event=\d+$/)
    const shared = page.url()
    await page.goto('about:blank')
    await page.goto(shared)
    await page.locator('.event-facts', { hasText: 'Acme' }).waitFor()
    await page.locator('.event', { hasText: 'GlobalTech' }).first().waitFor({ state: 'detached' })
  })
})

describe('the event log', () => {
  test('the event log of thousands of events keeps only the visible ones in the page, and goes back to the first', async () => {
    const { page, runtime, agentId } = await openShow(browser, { paceMs: STAYS_MS })
    await runtime.supervisor.stop(agentId, 'operator')
    for (let line = 1; line <= 5_000; line++) {
      runtime.state.record({
        type: 'agent.output',
        level: 'INFO',
        agent_id: agentId,
        message: `line ${line}`,
        data: { stream: 'stdout', text: `line ${line}` },
      })
    }
    await page.locator('.event', { hasText: 'line 5000' }).waitFor()
    expect(await page.locator('.event').count()).toBeLessThan(100)
    const list = page.locator('.virtual')
    await list.evaluate((element) => {
      element.scrollTop = 10_000
    })
    // The rows are drawn anew with the next frame.
    await page.locator('.event', { hasText: 'line 5000' }).waitFor({ state: 'detached' })
    const inSight = await page.locator('.event .message').nth(20).textContent()
    const count = page.locator('.count')
    const before = await count.textContent()
    runtime.state.record({
      type: 'agent.output',
      level: 'INFO',
      agent_id: agentId,
      message: 'one more',
      data: { stream: 'stdout', text: 'one more' },
    })
    await expect.poll(() => count.textContent()).not.toBe(before)
    await page.locator('.event .message', { hasText: new RegExp(`^${inSight}$`) }).waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('lead_gen_agent')
    await page.locator('.event', { hasText: 'started' }).first().waitFor()
  })
})

describe('after the demo', () => {
  test('no increase is offered, the report on its own page has the figures of the ledger, and every view can be seen, reached and named by everybody, in both themes, whole on any screen', async () => {
    const show = await openShow(browser)
    const { page, runtime, agentId, agent, faults } = show
    await runtime.supervisor.whenEnded(agentId)
    await stateOnScreen(page, 'Completed')
    await page.locator('[data-alert=budget_warning]').waitFor()
    expect(await page.getByRole('button', { name: /Approve/ }).count()).toBe(0)
    expect(await page.locator('.banner').count()).toBe(0)
    expect(await page.title()).toBe('lead_gen_agent · completed · Iron Cage')

    await page.getByRole('link', { name: 'Report' }).click()
    await page.locator('.report h1', { hasText: agentId }).waitFor()
    expect(new URL(page.url()).pathname).toBe(`/reports/${agentId}`)
    const text = await page.locator('.report').innerText()
    for (const figure of [showUsd(agent().spent_usd), '$63.10', '66', 'email', 'linkedin_api', 'gpt-4']) {
      expect(text).toContain(figure)
    }
    expect(text).not.toContain('ceo@piileaker.com')
    expect(await findings(page)).toEqual([])
    await page.emulateMedia({ media: 'print' })
    await page.screenshot({ path: join(pictures, 'report.png'), fullPage: false })
    await page.emulateMedia({ media: 'screen' })
    const download = page.waitForEvent('download')
    await button(page, 'CSV').click()
    expect((await download).suggestedFilename()).toBe(`${agentId}.csv`)

    await button(page, 'Share').click()
    await button(page, 'Create link').click()
    const link = (await page.locator('.sharing .revealed').innerText()).trim()
    expect(await findings(page, undefined, '.sharing')).toEqual([])
    const colleague = await openPage(browser, link)
    await colleague.page.locator('.report h1', { hasText: agentId }).waitFor()
    expect(await colleague.page.getByRole('button').count()).toBe(0)
    await page.getByRole('button', { name: /^Revoke link-/ }).click()
    await page.getByRole('button', { name: /^Revoke link-/ }).waitFor({ state: 'detached' })
    await colleague.page.reload()
    await colleague.page.getByText('this link has expired, was revoked, or is incomplete. ask for a new one').waitFor()
    await colleague.page.context().close()
    await page.getByRole('link', { name: '← Dashboard' }).click()
    await page.getByText('Agent status').waitFor()
    expect(faults).toEqual([])
    await everyViewIsForEverybody(show)
  })
})

async function everyViewIsForEverybody(show: Show): Promise<void> {
  const { page } = show
  await addSecret(show)
  await doneOnScreen(page, 100)
  for (const { colorScheme, rules } of THEMES) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    expect(await findings(page, rules)).toEqual([])
    await page.screenshot({ path: join(pictures, `panels-${colorScheme}.png`) })
    await button(page, '+ Add').click()
    await page.getByRole('dialog').waitFor()
    expect(await findings(page, rules)).toEqual([])
    await page.keyboard.press('Escape')
    await page.getByRole('link', { name: 'Iron Cage: all agents' }).click()
    await page.locator('[data-agent]').waitFor()
    expect(await findings(page, rules)).toEqual([])
    await page.goBack()
    await page.getByText('Agent status').waitFor()
  }
  for (const width of [1280, 390]) {
    await resizeTo(page, width, 720)
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)
    await page.screenshot({ path: join(pictures, `panels-${width}.png`), fullPage: true })
  }
}
