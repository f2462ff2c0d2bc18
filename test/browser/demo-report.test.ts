/** The output of a finished demo is in test/demo.test.ts. */
import { readFileSync } from 'node:fs'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openPlace } from '../cli/support.ts'
import { openBrowser, openPage } from '../support/browser.ts'

let browser: Browser
beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

/** The value of `label` in the last lines. */
const printed = (out: string, label: string): string => new RegExp(`^${label} +(.+)$`, 'm').exec(out)![1]!

describe('the final output of the demo', () => {
  test('the final output of the demo names the log, the page of the report and the booth', async () => {
    const run = openPlace().start(['demo', '--pace', 'max', '--port', '0'])
    await expect.poll(() => run.out, { timeout: 240_000, interval: 100 }).toContain('(stays open; Ctrl-C ends)')
    const agentId = /FINAL REPORT · (lg-\w+)/.exec(run.out)![1]!
    const log = readFileSync(printed(run.out, 'Log'), 'utf8')
    expect(log).toContain(`"agent_id":"${agentId}"`)
    expect(log).toContain('Circuit OPEN for linkedin_api')

    const { page, faults } = await openPage(browser, printed(run.out, 'Report'))
    onTestFinished(() => page.context().close())
    await page.locator('.report h1', { hasText: agentId }).waitFor()
    expect(new URL(page.url()).pathname).toBe(`/reports/${agentId}`)
    const text = await page.locator('.report').innerText()
    for (const figure of ['$45.90', '$63.10', 'linkedin_api', 'gpt-3.5-turbo']) expect(text).toContain(figure)
    expect(faults).toEqual([])
    const booth = await openPage(browser, printed(run.out, 'Booth').split(' ')[0]!)
    onTestFinished(() => booth.page.context().close())
    await booth.page.getByText('200 calls at once on the last cent').waitFor()
    expect(new URL(booth.page.url()).hash).toBe('#/booth')
    run.child.kill('SIGTERM')
    expect((await run.ended).code).toBe(0)
  })
})
