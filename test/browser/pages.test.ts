/** Every page of the dashboard besides that of an agent: with sixty agents, for everybody, in both themes, on any screen. */
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { newMasterKey } from '../../src/vault/master-key.ts'
import { findings, goTo, openBrowser, openPage, resizeTo, THEMES } from '../support/browser.ts'
import { addCrowd } from '../support/crowd.ts'
import { addStyle, brokenTexts, widenFonts } from '../support/geometry.ts'
import { answer } from '../support/provider.ts'
import { openTestRuntime, type TestRuntime } from '../support/runtime.ts'
import { button, pictures } from '../support/show.ts'

let browser: Browser

beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

const WIDTHS = [1920, 1600, 1536, 1366, 768, 390]

async function openPages(agents: number): Promise<{ cage: TestRuntime; page: Page; faults: string[] }> {
  const cage = await openTestRuntime({ masterKey: newMasterKey(), calls: { keep_content: true } })
  cage.provider.does(answer({ text: 'Ferns, says ferns@garden.com.' }))
  for (let index = 0; index < agents; index++) {
    const agent = cage.addAgent({ name: `worker-${index % 7}` })
    if (index < 3) await agent.chat()
  }
  const { access_token } = await cage.login()
  await cage.post('/api/tokens', { name: 'nightly-job' }, access_token)
  const { page, faults } = await openPage(browser, cage.runtime.dashboardLink())
  onTestFinished(() => page.context().close())
  await page.locator('.app main').waitFor()
  return { cage, page, faults }
}

test('the overview of sixty agents finds, sorts and groups them, and a client is no running agent', async () => {
  const { cage, page, faults } = await openPages(60)
  const rows = page.locator('.agent-table [data-agent]')
  await expect.poll(() => rows.count()).toBe(61)
  await page.getByText('60 running').waitFor()
  expect(await page.locator('.agent-table tr', { hasText: 'nightly-job' }).innerText()).toContain('Client')
  const last = Object.values(cage.runtime.state.read().agents).at(10)!
  cage.runtime.state.record({
    type: 'agent.exited',
    level: 'ERROR',
    agent_id: last.id,
    message: 'crash loop',
    data: {
      run_id: last.run_id,
      exit_code: 1,
      signal: null,
      state: 'crash_loop',
      reason: 'crashed',
      restart_in_ms: null,
    },
  })
  await expect.poll(() => rows.first().getAttribute('data-agent')).toBe(last.id)
  // Behind them those with findings, then those without, then clients.
  expect((await rows.evaluateAll((links) => links.map(({ dataset }) => dataset.agent))).slice(1, 4).sort()).toEqual(
    Object.keys(cage.runtime.state.read().agents).slice(0, 3).sort(),
  )
  expect(await rows.last().getAttribute('data-agent')).toMatch(/^nj-/)
  expect(await page.locator('.log .event .message').allInnerTexts()).toContain('worker-3 started')
  expect(await page.title()).toContain('1 need attention')
  await page.getByLabel('group by name').check()
  await page.locator('.agent-table .group').nth(7).waitFor()
  await page.getByLabel('Find an agent').fill('worker-3')
  await expect.poll(() => page.locator('.agent-table .group').count()).toBe(1)
  await page.waitForURL(/group=name&find=worker-3/)
  expect(faults).toEqual([])
})

test('an admin can show the prompt and reply of a call, with its redactions marked', async () => {
  const { cage, page } = await openPages(1)
  await goTo(page, `#/calls?call=${cage.rows()[0]!.id}`)
  await button(page, 'Show prompt and reply').click()
  await page.locator('.turn.reply mark', { hasText: '[EMAIL_REDACTED]' }).waitFor()
  await page.locator('.turn', { hasText: 'Say hello.' }).waitFor()
  expect(await findings(page)).toEqual([])
  await page.screenshot({ path: join(pictures, 'call-content.png') })
})

test('two runs are compared, a limit is set, a user added, the audit verified, a text redacted', async () => {
  const { page, faults } = await openPages(3)
  await goTo(page, '#/runs')
  await page.locator('.spending-chart .legend').waitFor()
  const choose = page.getByRole('checkbox')
  await choose.nth(1).check()
  await choose.nth(2).check()
  await page.locator('.comparison th', { hasText: 'Calls' }).waitFor()

  await goTo(page, '#/settings')
  await button(page, '+ Add user').click()
  await page.getByLabel('User name').fill('vic')
  await page.getByLabel('Password').fill('correct horse battery')
  await button(page, 'Add').click()
  await page.locator('.users .row', { hasText: 'vic' }).waitFor()
  await page.locator('.prices tr', { hasText: 'config' }).getByText('$2.50', { exact: true }).waitFor()

  await goTo(page, '#/audit')
  await page
    .locator('.audit tr', { hasText: 'user.created' })
    .locator('.details', { hasText: /role viewer/ })
    .waitFor()
  await button(page, 'Verify').click()
  await page.getByText('chain intact').waitFor()

  await goTo(page, '#/incidents')
  await page.getByLabel('Text to redact').fill('Write to ceo@acme.com')
  await button(page, 'Redact').click()
  await page.locator('.scanned mark', { hasText: '[EMAIL_REDACTED]' }).waitFor()
  await page
    .getByRole('button', { name: /^Reveal pii-/ })
    .first()
    .click()
  await page.getByText('ferns@garden.com').waitFor()
  expect(faults).toEqual([])
})

test('every page reads well in both themes and is clean for axe, and no text is cut or overprinted on any screen', async () => {
  const { cage } = await openPages(0)
  const [agentId] = addCrowd(cage.runtime, { agents: 60, events: 300 })
  const { page } = await openPage(browser, cage.runtime.dashboardLink())
  onTestFinished(() => page.context().close())
  await page.locator('.agent-table').waitFor()
  // Ten of the sixty have left the snapshot: their events are named as well.
  await page.locator('.event .whose').first().waitFor()
  const isId = /^[a-z]{2}-[0-9a-f]{8} ?$/
  await expect
    .poll(async () => (await page.locator('.event .whose').allInnerTexts()).filter((name) => isId.test(name)))
    .toEqual([])
  await widenFonts(page)
  for (const name of ['', `agents/${agentId}`, 'calls', 'runs', 'incidents', 'audit', 'settings', 'booth']) {
    await goTo(page, `#/${name}`)
    await page.locator('.app main .panel').first().waitFor()
    for (const { colorScheme, rules } of THEMES) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      expect(await findings(page, rules), `${name} ${colorScheme}`).toEqual([])
    }
    // The dark theme only: sizes do not depend on colors.
    for (const width of WIDTHS) {
      await resizeTo(page, width, 900)
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      expect(overflow, `${name} at ${width}`).toBeLessThanOrEqual(0)
      expect(await brokenTexts(page), `${name} at ${width}`).toEqual([])
    }
    await resizeTo(page, 1920, 1080)
  }
  // The measure itself: a style that cuts and one that overprints are found.
  await goTo(page, `#/agents/${agentId}`)
  await page.locator('.panel.status .big').waitFor()
  for (const [style, found] of [
    ['.status .big { width: 60px; overflow: hidden }', /^cut: “/],
    ['.status .row { margin-top: -30px }', /^overprinted: “/],
  ] as const) {
    await addStyle(page, style)
    expect(await brokenTexts(page)).toContainEqual(expect.stringMatching(found))
  }
})
