/** docs/second-hour.md, step by step: its agent and its commands, the real `openai` package, and a real browser. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Run } from '../cli/support.ts'
import { openBrowser, openPage } from '../support/browser.ts'
import { freePort } from '../support/free-port.ts'
import { FakeProvider } from '../support/provider.ts'
import { button, pictures, stateOnScreen } from '../support/show.ts'
import { root } from './documents.ts'

const tutorial = readFileSync(join(root, 'docs/second-hour.md'), 'utf8')
const [agent = '', ...changes] = [...tutorial.matchAll(/```python\n(.+?)```/gs)].map((match) => match[1]!)
const commands = [...tutorial.matchAll(/^ {4}iron-cage (.+)$/gm)].map((match) => match[1]!.split(' '))

/** A command that a sentence of the page names, as words. */
function commandIn(page: string, verb: string): string[] {
  const [, words] = new RegExp(`\`iron-cage (${verb}[^\`]*)\``).exec(page)!
  return words!.split(' ')
}

/** The agent with the line that a block of the page stands for. */
function changed(source: string, block: string): string {
  const place = block.includes('len(text)') ? /^ {4}(?:while|if) len.*\n/m : /^ {4}text = write\(f"Confirm.*\n/m
  expect(source).toMatch(place)
  return source.replace(place, () => block)
}

/** Repeats the address that it was given, and never answers briefly. */
async function openProvider(): Promise<FakeProvider> {
  const provider = await FakeProvider.open()
  provider.does((response, { body }) => {
    const { model, messages } = JSON.parse(body.toString()) as { model: string; messages: { content: string }[] }
    const [, name = 'you', address = 'you'] = /order of (\w+)(?:, (\S+))?\.$/.exec(messages[0]!.content) ?? []
    const content = `Dear ${name}, your order is confirmed. We write to ${address}.`
    const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }]
    const usage = { prompt_tokens: 30, completion_tokens: 25, total_tokens: 55 }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion', created: 1, model, choices, usage }))
  })
  return provider
}

test('the second hour: each cause is found on screen, mended, and handed over', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-second-hour-'))
  const provider = await openProvider()
  const browser = await openBrowser()
  const env = { OPENAI_API_KEY: 'sk-of-a-reader', VIRTUAL_ENV: join(root, '.venv-test') }
  const config = {
    // The link that is shared names it, and is opened on the next server as well.
    server: { port: await freePort() },
    agent: { restart: { max: 2 } },
    providers: { openai: { base_url: `${provider.url}/v1` } },
  }
  writeFileSync(join(folder, 'iron-cage.yaml'), JSON.stringify(config))
  let source = agent
  const write = (next: string) => {
    source = next
    writeFileSync(join(folder, 'agent.py'), next)
  }
  const run = (words: readonly string[]) =>
    new Run(
      folder,
      words.filter((word) => word !== '--open'),
      { env },
    )
  write(agent)
  const first = run(commands[0]!)
  onTestFinished(async () => {
    first.child.kill('SIGTERM')
    await first.ended
    await browser.close()
    await provider.close()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  await first.shows(/#code=\S+/)
  const { page, faults } = await openPage(browser, /http\S+#code=\S+/.exec(first.out)![0])
  const take = (name: string) => page.screenshot({ path: join(pictures, `second-hour-${name}.png`) })

  await stateOnScreen(page, 'Stopped by budget')
  const agentId = /agents\/([\w-]+)/.exec(page.url())![1]!
  await take('spent')
  await page.getByRole('link', { name: 'Calls', exact: true }).click()
  const rows = page.locator('.panel.calls tbody tr')
  await expect.poll(() => rows.count()).toBeGreaterThan(24)
  await rows.filter({ hasText: '$0.000325' }).first().getByRole('link').click()
  await page.locator('.panel.call').getByText('Tokens in / out').waitFor()
  await take('calls')
  await page.locator('.panel.call').getByRole('link', { name: 'agent', exact: true }).click()
  write(changed(source, changes[0]!))
  await page.locator('.banner').getByRole('button', { name: 'Approve $0.01 and resume' }).click()

  await stateOnScreen(page, 'Crash loop')
  await page.getByLabel('Levels shown').selectOption('warn')
  await page.locator('.event', { hasText: /ERROR\s*KeyError: 'email'\s*$/ }).click()
  await page.locator('.event-facts', { hasText: 'Traceback' }).waitFor()
  await take('crash')
  await page.keyboard.press('Escape')
  write(changed(source, changes[1]!))
  await button(page, 'Restart').click()
  await stateOnScreen(page, 'Completed')

  expect(Number(await page.locator('[data-figure=leaks]').innerText().then(Number.parseInt))).toBeGreaterThan(0)
  await page.keyboard.press('Control+k')
  await page.keyboard.type('incidents')
  await page.keyboard.press('Enter')
  await page.locator('.panel.incidents tbody a', { hasText: 'reply' }).first().click()
  await page.locator('.panel.call').waitFor()
  await take('leak')
  write(changed(source, changes[2]!))
  const second = run(commands.find(([verb], index) => verb === 'start' && index > 0)!)
  expect((await second.ended).code, second.err).toBe(0)

  await page.getByRole('link', { name: 'Runs' }).click()
  const choose = page.getByRole('checkbox')
  await expect.poll(() => choose.count()).toBe(2)
  await choose.nth(0).check()
  await choose.nth(1).check()
  await expect
    .poll(() => page.locator('.comparison tr', { hasText: 'Leaks stopped' }).locator('td').allInnerTexts())
    .toContain('0')
  await take('compared')

  const shared = await run(['report', agentId, ...commands.find(([verb]) => verb === 'report')!.slice(2)]).ended
  const colleague = await openPage(browser, shared.out.trim())
  await colleague.page.locator('.report h1', { hasText: agentId }).waitFor()
  expect(await colleague.page.locator('.report').innerText()).not.toContain('@example.org')
  await colleague.page.screenshot({ path: join(pictures, 'second-hour-shared.png') })
  expect([...faults, ...colleague.faults]).toEqual([])

  first.child.kill('SIGTERM')
  await first.ended
  const opened = run(commandIn(tutorial, 'open'))
  onTestFinished(async () => {
    opened.child.kill('SIGTERM')
    await opened.ended
  })
  await opened.shows(/#code=\S+/)
  await colleague.page.reload()
  await colleague.page.locator('.report h1', { hasText: agentId }).waitFor()
})
