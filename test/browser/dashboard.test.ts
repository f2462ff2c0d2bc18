import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { shownFigures } from '../../src/state/figures-text.ts'
import { openBrowser, openPage, resizeTo } from '../support/browser.ts'
import { budgetWarned } from '../support/events.ts'
import { openTestRuntime } from '../support/runtime.ts'
import { button, doneOnScreen, openShow, pictures, stateOnScreen, tabTo } from '../support/show.ts'

/** So long stays the agent at each lead of whose work nothing is to be seen: it must neither end nor find anything. */
const STAYS_MS = 10_000
let browser: Browser

beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

describe('the dashboard during the demo', () => {
  test('the dashboard during the demo shows the very figures of the server, and no personal data', async () => {
    const { runtime, agentId, page, faults, agent } = await openShow(browser, { paceMs: 40 })
    for (const done of [23, 34, 50, 67, 85]) {
      await doneOnScreen(page, done)
      if (done === 50) await page.locator('[data-alert=secret_rotated]').waitFor()
      await page.screenshot({ path: join(pictures, `lead-${done}.png`) })
    }
    await runtime.supervisor.whenEnded(agentId)
    await stateOnScreen(page, 'Completed')
    await page.screenshot({ path: join(pictures, 'lead-100.png') })

    const shown = shownFigures(agent(), Date.now())
    const text = (await page.locator('body').innerText()).replace(/\s+/g, ' ')
    for (const figure of [shown.progress, shown.success, shown.spent, shown.used, shown.average]) {
      expect(text).toContain(figure)
    }
    expect(text).toContain('3 leaks stopped')
    expect(text).toContain('66 blocked · $6.60 saved')
    expect(text).toContain('$17.20 saved against a baseline of $63.10')
    expect(text.match(/not monitored/g)).toHaveLength(2)
    expect(text).toContain('Unauthorized actions 0 refused')
    expect(await page.content()).not.toContain('ceo@piileaker.com')
    expect(faults).toEqual([])
  })

  test('Close circuit resets an open circuit', async () => {
    const { runtime, page } = await openShow(browser, { paceMs: 200, failFromLead: 1, recoverFromLead: 2 })
    const circuit = page.locator('[data-circuit=linkedin_api]')
    await circuit.getByText('OPEN', { exact: false }).first().waitFor()
    await circuit.getByRole('button', { name: 'Close circuit' }).click()
    await circuit.getByText('CLOSED').waitFor()
    expect(runtime.state.read().circuits.linkedin_api).toMatchObject({ state: 'closed' })
  })
})

describe('the buttons', () => {
  test('the buttons pause, resume and stop the agent; Stop asks first', async () => {
    const { page, agent, runtime, agentId } = await openShow(browser, { paceMs: STAYS_MS })
    await button(page, 'Pause').click()
    await stateOnScreen(page, 'Paused')
    expect(agent().state).toBe('paused')
    await button(page, 'Resume').click()
    await stateOnScreen(page, 'Running')
    expect(agent().state).toBe('running')

    await button(page, 'Stop').click()
    await button(page, 'Really stop?').waitFor()
    expect(agent().state).toBe('running')
    // The question is withdrawn after some seconds: who is late is asked once more.
    const question = page.getByRole('button', { name: /^(Stop|Really stop\?)$/ })
    while (agent().state === 'running') await question.click({ timeout: 1_000 }).catch(() => undefined)
    await runtime.supervisor.whenEnded(agentId)
    await stateOnScreen(page, 'Stopped')
    expect(agent().state).toBe('stopped')
  })

  test('the buttons approve the increase that the warning proposes, by keyboard, and the warning goes', async () => {
    const { page, agent, runtime, agentId } = await openShow(browser, { paceMs: STAYS_MS })
    runtime.state.record({ ...budgetWarned, agent_id: agentId })
    const banner = page.locator('.banner')
    await banner.getByText('Budget warning').waitFor()
    await tabTo(page, 'Approve $25 increase')
    await page.keyboard.press('Enter')
    await banner.waitFor({ state: 'detached' })
    await expect.poll(() => agent().limit_usd).toBe('75')
    await page.getByText('/ $75.00').waitFor()
  })

  test('an operator approves or rejects a request of the agent, and the agent reads the decision', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '10' })
    const { page, faults } = await openPage(browser, cage.runtime.dashboardLink())
    onTestFinished(() => page.context().close())
    const ask = async (add_usd: string) =>
      (await cage.post('/api/run/budget-requests', { add_usd, reason: 'more leads' }, agent.token)).json().id as string
    const stateOf = async (id: string) => (await cage.get(`/api/run/budget-requests/${id}`, agent.token)).json().state
    const card = page.locator('[data-alert=budget_requested]')
    const first = await ask('7.5')
    await card.getByText('The agent asks for $7.50 more: "more leads".').waitFor()
    await card.getByRole('button', { name: 'Approve $7.50 increase' }).click()
    await expect.poll(() => stateOf(first)).toBe('approved')
    await page.getByText('/ $17.50').waitFor()
    const second = await ask('100')
    await card.getByRole('button', { name: 'Approve $100 increase' }).waitFor()
    await card.getByRole('button', { name: 'Reject' }).click()
    await expect.poll(() => stateOf(second)).toBe('rejected')
    await card
      .getByRole('button', { name: /^(Approve|Reject)/ })
      .first()
      .waitFor({ state: 'detached' })
    expect(faults).toEqual([])
  })

  test('an operator approves an increase of the exhausted server budget, and the next call is paid', async () => {
    const cage = await openTestRuntime({ budget: { server_usd: '2', per_run_usd: '5' } })
    const agent = cage.addAgent()
    const { page, faults } = await openPage(browser, cage.runtime.dashboardLink())
    onTestFinished(() => page.context().close())
    expect((await agent.chat({ max_tokens: 5 })).status).toBe(200)
    expect((await agent.chat({ max_tokens: 2_000 })).status).toBe(402)
    const alert = page.locator('[data-alert=budget_exhausted]')
    await alert.getByText('Budget exhausted — the whole server').waitFor()
    await alert.getByRole('button', { name: 'Approve $1 for the server' }).click()
    await page.locator('[data-figure=limits]', { hasText: 'server $0.005 of $3.00' }).waitFor()
    // It reports no progress, so its curve is over time: one point for its start, and one for its payment.
    expect(await page.locator('.chart caption').textContent()).toBe('Spending over time')
    expect(await page.locator('.chart tbody tr td:last-child').allTextContents()).toEqual(['$0.00', '$0.005'])
    await page.getByText('avg/call').waitFor()
    expect((await agent.chat({ max_tokens: 2_000 })).status).toBe(200)
    expect(faults).toEqual([])
  })

  test('a failed action shows its reason', async () => {
    const { page, runtime, agentId } = await openShow(browser, { paceMs: STAYS_MS })
    await page.route('**/pause', (route) =>
      route.fulfill({ status: 409, json: { error: { message: 'it is gone', hint: 'look again' } } }),
    )
    await button(page, 'Pause').click()
    await page.getByRole('alert').getByText('it is gone. look again').waitFor()
    await runtime.supervisor.stop(agentId)
  })
})

describe('notifications', () => {
  test('five notifications at once are all there, those of one kind in one card', async () => {
    const { page, runtime, agentId } = await openShow(browser, { paceMs: STAYS_MS })
    // Where the notifications themselves are not in sight beside the rest.
    await resizeTo(page, 1000, 800)
    await page.keyboard.press('/')
    for (let lead = 1; lead <= 5; lead++) {
      runtime.state.record({
        type: 'pii.found',
        level: 'CRIT',
        agent_id: agentId,
        message: `EMAIL in reply of lead ${lead}`,
        data: {
          incident_id: `pii-${lead}`,
          pii_type: 'email',
          risk: 'HIGH',
          action: 'redact',
          place: 'reply',
          call_id: null,
          value_hash: 'hash',
          start: 0,
          end: 5,
          unit: `lead ${lead}`,
        },
      })
    }
    await page.locator('[data-alert=pii_found]', { hasText: '× 5' }).waitFor()
    await page.getByText('4 more').waitFor()
    await resizeTo(page, 1920, 1080)
    await page.getByText('4 more').waitFor({ state: 'hidden' })
    // A toast never takes the focus from who types.
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('search')
    await page.locator('[data-alert=pii_found]').first().getByRole('button', { name: 'Acknowledge' }).click()
    await page.locator('.note.seen').waitFor()
    expect(runtime.state.read().alerts.filter(({ acknowledged }) => acknowledged)).toHaveLength(5)
  })
})

describe('the session', () => {
  test('the session survives a reload, and its link works once', async () => {
    const { page, runtime } = await openShow(browser, { paceMs: STAYS_MS })
    await page.waitForURL((url) => !url.href.includes('code='))
    await page.reload()
    await page.getByText('Agent status').waitFor()

    const link = runtime.dashboardLink()
    const first = await openPage(browser, link)
    await first.page.getByText('Agent status').waitFor()
    const second = await openPage(browser, link)
    await second.page.getByText('This link no longer works').waitFor()
    await Promise.all([first, second].map(({ page: other }) => other.context().close()))
  })

  test('the page shows that it is stale while the server is gone, and catches up after its return', async () => {
    const { page, runtime, agentId, startAgain } = await openShow(browser, { paceMs: STAYS_MS })
    await doneOnScreen(page, 1)
    await runtime.close('gone')
    await page.getByText(/Stale for \d+ s/).waitFor()
    await page.getByText('Not connected').waitFor()
    const later = await startAgain()
    await page.getByText(/^Live/).waitFor()
    await page.getByText(/Stale for/).waitFor({ state: 'detached' })
    const message = 'said after the restart'
    const data = { stream: 'stdout', text: message } as const
    later.state.record({ type: 'agent.output', level: 'OK', agent_id: agentId, message, data })
    await page.locator('.event', { hasText: message }).waitFor()
    // Nothing that happened meanwhile is missing either.
    await page.locator('.event', { hasText: 'Iron Cage test listens on' }).first().waitFor()
  })
})

describe('the keyboard', () => {
  test('the keyboard reaches the search, the keys and the larger type', async () => {
    const { page, runtime, agentId } = await openShow(browser, { paceMs: 50 })
    await doneOnScreen(page, 2)
    await page.keyboard.press('/')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('search')
    await page.keyboard.type('GlobalTech')
    await page.locator('.event .message', { hasText: 'GlobalTech' }).first().waitFor()
    await page.locator('.event .message', { hasText: 'Acme' }).first().waitFor({ state: 'detached' })
    await page.locator('body').click({ position: { x: 5, y: 5 } })
    await page.keyboard.press('?')
    await page.getByText('search the event log').waitFor()
    await page.keyboard.press('p')
    await page.locator('.app.presenting').waitFor()
    await runtime.supervisor.stop(agentId)
  })
})
