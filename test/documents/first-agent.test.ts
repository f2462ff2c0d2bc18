/** The README's own agent, started by the command in the README, with the real `openai` package. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Run } from '../cli/support.ts'
import { FakeProvider } from '../support/provider.ts'
import { root } from './documents.ts'
import { shownOf, withoutChance } from './printed.ts'

const readme = readFileSync(join(root, 'README.md'), 'utf8')
const block = (language: string): string => new RegExp(`\`\`\`${language}\\n(.+?)\`\`\``, 's').exec(readme)![1]!

test('the agent of the README prints the output shown there', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-readme-'))
  const provider = await FakeProvider.open()
  onTestFinished(async () => {
    await provider.close()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  provider.does((response, { body }) => {
    const { model, messages } = JSON.parse(body.toString()) as { model: string; messages: { content: string }[] }
    const name = /(\w+)\.$/.exec(messages[0]!.content)![1]
    const content = `Dear ${name}, your order has shipped. Questions? Write to sales@example.com.`
    const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }]
    const usage = { prompt_tokens: 20, completion_tokens: 16, total_tokens: 36 }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion', created: 1, model, choices, usage }))
  })
  writeFileSync(join(folder, 'agent.py'), block('python'))
  const config = { server: { port: 0 }, providers: { openai: { base_url: `${provider.url}/v1` } } }
  writeFileSync(join(folder, 'iron-cage.yaml'), JSON.stringify(config))
  const [, command] = /^ {4}npx iron-cage (start .+?)(?: +#.*)?$/m.exec(readme)!
  const env = { OPENAI_API_KEY: 'sk-of-a-reader', VIRTUAL_ENV: join(root, '.venv-test') }
  const { code, out, err } = await new Run(folder, command!.split(' '), { env }).ended
  expect(code, err).toBe(0)

  const shown = block('text')
  expect(withoutChance(shown).length).toBeGreaterThan(8)
  expect(shownOf(out + err, shown)).toEqual(withoutChance(shown))
})
