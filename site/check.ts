/**
 * Looks at the built site as visitors and their tools do, on loopback: every link leads somewhere, pages can be read
 * without JavaScript and load nothing from elsewhere, axe finds nothing in either theme, search finds, the recording
 * plays, and Lighthouse gives at least 95 in each category. `--pictures <folder>` takes pictures at three widths.
 */
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'
import { parseArgs } from 'node:util'
import { createGzip } from 'node:zlib'
import lighthouse from 'lighthouse'
import { type Browser, chromium } from 'playwright-core'
import { findings } from '../test/support/browser.ts'
import { freePort } from '../test/support/free-port.ts'

const dist = join(import.meta.dirname, 'dist')
const { values } = parseArgs({ options: { pictures: { type: 'string' } } })
const MIN_SCORE = 95
const WIDTHS = [390, 820, 1440]
const SAMPLES = [
  '/',
  '/docs/install/',
  '/docs/configuration/',
  '/docs/python-reference/',
  '/docs/tutorials/first-agent/',
]
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.webp': 'image/webp',
  '.png': 'image/png',
}
const pages = readdirSync(dist, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('index.html'))
  .map((path) => `/${path.slice(0, -'index.html'.length)}`)
const problems: string[] = []

const server = createServer(serve).listen(0, '127.0.0.1')
const port = await freePort()
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--headless', '--disable-gpu', `--remote-debugging-port=${port}`],
})
try {
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  checkLinks()
  await withoutJavaScript(browser, origin)
  for (const scheme of ['dark', 'light'] as const) await accessibility(browser, origin, scheme)
  await search(browser, origin)
  await recording(browser, origin)
  if (values.pictures) await pictures(browser, origin, values.pictures)
  for (const path of SAMPLES) await scores(origin + path, path)
} finally {
  await browser.close()
  server.close()
}
for (const problem of problems) console.error(`✖ ${problem}`)
process.exitCode = problems.length > 0 ? 1 : 0

/** As hosts of static files do: folders by their index, text compressed. */
function serve(request: { url?: string }, response: import('node:http').ServerResponse): void {
  const path = normalize(decodeURIComponent(new URL(request.url!, 'http://x').pathname))
  const file = join(dist, path.endsWith('/') ? `${path}index.html` : path)
  if (!existsSync(file)) return void response.writeHead(404).end()
  const type = TYPES[extname(file)] ?? 'application/octet-stream'
  const isText = !/image\/(webp|png)|octet/.test(type)
  response.writeHead(200, {
    'content-type': type,
    'cache-control': 'max-age=3600',
    ...(isText && { 'content-encoding': 'gzip' }),
  })
  const content = createReadStream(file)
  if (isText) content.pipe(createGzip()).pipe(response)
  else content.pipe(response)
}

/** Every address within the site, with its anchor. */
function checkLinks(): void {
  const read = new Map(pages.map((path) => [path, readFileSync(join(dist, path, 'index.html'), 'utf8')]))
  let count = 0
  for (const [page, html] of read) {
    for (const [, address] of html.matchAll(/ (?:href|src)="([^"]+)"/g)) {
      const { origin, pathname, hash } = new URL(address!.replaceAll('&amp;', '&'), `http://x${page}`)
      if (origin !== 'http://x') continue
      count++
      const target = read.get(pathname)
      const id = decodeURIComponent(hash.slice(1))
      if (target === undefined ? !existsSync(join(dist, pathname)) : id && !target.includes(` id="${id}"`)) {
        problems.push(`${page} links to ${address}, which is not there`)
      }
    }
  }
  console.log(`✔ ${count} links of ${pages.length} pages followed`)
}

async function withoutJavaScript(of: Browser, origin: string): Promise<void> {
  const context = await of.newContext({ javaScriptEnabled: false })
  const page = await context.newPage()
  const elsewhere = new Set<string>()
  page.on('request', (request) => {
    if (!request.url().startsWith(origin) && !request.url().startsWith('data:')) elsewhere.add(request.url())
  })
  for (const path of SAMPLES) {
    await page.goto(origin + path)
    const words = (await page.innerText('main')).split(/\s+/).length
    if (words < 150) problems.push(`${path} has ${words} words without JavaScript`)
  }
  await context.close()
  if (elsewhere.size > 0) problems.push(`loaded from elsewhere: ${[...elsewhere].join(' ')}`)
  console.log('✔ read without JavaScript')
}

async function accessibility(of: Browser, origin: string, colorScheme: 'dark' | 'light'): Promise<void> {
  const context = await of.newContext({ colorScheme, viewport: { width: 1440, height: 900 } })
  const page = await context.newPage()
  for (const path of pages) {
    await page.goto(origin + path)
    // A script of the page makes wide blocks of code reachable by keyboard.
    await page.waitForFunction(() =>
      [...document.querySelectorAll('pre')].every((pre) => pre.scrollWidth <= pre.clientWidth || pre.tabIndex === 0),
    )
    for (const found of await findings(page)) problems.push(`${path} (${colorScheme}): ${found.slice(0, 300)}`)
  }
  await context.close()
  console.log(`✔ axe: ${pages.length} pages, ${colorScheme}`)
}

async function search(of: Browser, origin: string): Promise<void> {
  const page = await of.newPage()
  await page.goto(`${origin}/docs/install/`)
  // Its script enables the button, and listens to Control+K.
  await page.click('button[data-open-modal]:not([disabled])')
  await page.fill('input[type=text], input[type=search], .pagefind-ui__search-input', 'circuit breaker')
  await page
    .waitForSelector('.pagefind-ui__result a', { timeout: 20_000 })
    .catch(() => problems.push('search finds nothing'))
  await page.close()
  console.log('✔ search')
}

/** The dashboard shows what the recording says, and cannot do anything. */
async function recording(of: Browser, origin: string): Promise<void> {
  const page = await of.newPage()
  await page.goto(`${origin}/replay/`)
  await page.waitForFunction(() => /\b[5-9] *\/ 100 leads/.test(document.body.innerText.replaceAll('\n', ' ')), null, {
    timeout: 30_000,
  })
  await page.close()
  console.log('✔ the recording plays')
}

async function pictures(of: Browser, origin: string, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true })
  for (const width of WIDTHS) {
    for (const [at, path] of ['/', ...SAMPLES.slice(1, 3)].entries()) {
      const context = await of.newContext({ viewport: { width, height: 900 }, colorScheme: at % 2 ? 'light' : 'dark' })
      const page = await context.newPage()
      await page.goto(origin + path)
      await page.screenshot({ path: join(folder, `${width}${path.replaceAll('/', '_')}.png`) })
      const isWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)
      if (isWide) problems.push(`${path} is wider than ${width} px`)
      await context.close()
    }
  }
}

/** The best of three runs: whatever else the machine does costs points. */
async function scores(url: string, path: string): Promise<void> {
  const best = new Map<string, number>()
  for (let tries = 0; tries < 3 && (tries === 0 || Math.min(...best.values()) < MIN_SCORE); tries++) {
    const result = await lighthouse(url, { port, output: 'json', logLevel: 'silent' })
    for (const { id, score } of Object.values(result!.lhr.categories)) {
      best.set(id, Math.max(best.get(id) ?? 0, Math.round(score! * 100)))
    }
  }
  for (const [id, score] of best) if (score < MIN_SCORE) problems.push(`${path}: ${id} ${score}`)
  console.log(`  ${path}: ${[...best].map(([id, score]) => `${id} ${score}`).join(', ')}`)
}
