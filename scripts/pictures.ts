/**
 * Takes the README's pictures from a demo in the built program: docs/dashboard.png right after the budget warning, and
 * docs/demo.webp, a frame for every second lead. Needs Chromium and what `npm test` installs (Pillow encodes the frames).
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { openBrowser, openPage } from '../test/support/browser.ts'

const root = resolve(import.meta.dirname, '..')
const LEADS_PER_FRAME = 2
const WARNED_LEAD = 86

/** Arguments: the file to write, the length of a frame in ms, the frames. */
const ENCODE = `
import sys
from PIL import Image
target, duration, *paths = sys.argv[1:]
first, *others = [Image.open(path).convert("RGB").resize((1280, 720), Image.LANCZOS) for path in paths]
first.save(target, save_all=True, append_images=others, duration=int(duration), loop=0, quality=70, method=6)
`

const folder = mkdtempSync(join(tmpdir(), 'iron-cage-pictures-'))
const demo = spawn(process.execPath, [join(root, 'bin/iron-cage.cjs'), 'demo', '--pace', '4000', '--port', '0'], {
  cwd: folder,
  stdio: ['ignore', 'pipe', 'inherit'],
})
const ended = once(demo, 'exit')
const browser = await openBrowser()
try {
  const { page } = await openPage(browser, await linkOf(demo.stdout))
  const frames: string[] = []
  for (let lead = LEADS_PER_FRAME; lead <= 100; lead += LEADS_PER_FRAME) {
    await page.waitForFunction(
      (wanted) => Number(/(\d+)\s*\/ 100 leads/.exec(document.body.innerText)?.[1]) >= wanted,
      lead,
      { polling: 50 },
    )
    frames.push(join(folder, `${lead}.png`))
    await page.screenshot({ path: frames.at(-1)! })
    if (lead === WARNED_LEAD) await page.screenshot({ path: join(root, 'docs/dashboard.png') })
  }
  execFileSync(join(root, '.venv-test-crewai/bin/python'), [
    '-c',
    ENCODE,
    join(root, 'docs/demo.webp'),
    '300',
    ...frames,
  ])
} finally {
  await browser.close()
  demo.kill('SIGTERM')
  await ended
  rmSync(folder, { recursive: true, force: true })
}

/** The sign-in link that the demo prints. What follows is read and dropped, so that the demo is never held up. */
function linkOf(output: NodeJS.ReadableStream): Promise<string> {
  let printed = ''
  return new Promise((found) => {
    output.setEncoding('utf8').on('data', (text: string) => {
      printed += text
      const link = /http:\S+#code=\S+(?=\s)/.exec(printed)?.[0]
      if (link) found(link)
    })
  })
}
