/** Real Chromium, and a page that records its errors. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, chromium, type Page } from 'playwright-core'

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]

// None of them may look for the network.
const ARGUMENTS = [
  '--no-sandbox',
  '--headless',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** A whole demo passes on the page, also on a machine with much else to do; less than a test may take. */
const PATIENCE_MS = 240_000

export function openBrowser(): Promise<Browser> {
  const executablePath = process.env.CHROMIUM ?? PLACES.find(existsSync)
  if (!executablePath) throw new Error('there is no Chromium: run scripts/setup-tests.sh, or set CHROMIUM to its path')
  return chromium.launch({ executablePath, args: ARGUMENTS, timeout: PATIENCE_MS })
}

/** A page in a separate session; `faults` collects errors of scripts and of the console. */
export async function openPage(browser: Browser, url: string): Promise<{ page: Page; faults: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1920, height: 1080 }, colorScheme: 'dark' })
  context.setDefaultTimeout(PATIENCE_MS)
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('response', (response) => {
    if (response.status() >= 500) faults.push(`${response.status()} ${response.url()}`)
  })
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text())
  })
  await page.goto(url)
  return { page, faults }
}

/** Shows another view of the same page, whose session stays: `#/calls`. */
export async function goTo(page: Page, hash: string): Promise<void> {
  await page.evaluate((next) => {
    location.hash = next
  }, hash)
}

/** Resolves when the page is so wide. */
export async function resizeTo(page: Page, width: number, height: number): Promise<void> {
  await page.setViewportSize({ width, height })
  await page.waitForFunction((wanted) => innerWidth === wanted, width)
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Both themes, and which of axe's rules to look for in each: they differ in colors alone. */
export const THEMES = [
  { colorScheme: 'light', rules: ['color-contrast'] },
  { colorScheme: 'dark', rules: undefined },
] as const

/**
 * What axe finds that a person with a disability would stumble over. `rules`: (Default: all of axe's.) `within`: a
 * selector, for new content of a page that it has looked through. (Default: the page.)
 */
export async function findings(page: Page, rules?: readonly string[], within = 'html'): Promise<string[]> {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(AXE)
  const options = { resultTypes: ['violations'], ...(rules && { runOnly: [...rules] }) }
  const { violations } = await page.evaluate(
    ([place, given]) =>
      (
        window as unknown as {
          axe: {
            run(
              place: string,
              options: object,
            ): Promise<{ violations: { id: string; impact: string; nodes: object[] }[] }>
          }
        }
      ).axe.run(place, given),
    [within, options] as const,
  )
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${JSON.stringify(nodes.slice(0, 3))}`)
}
