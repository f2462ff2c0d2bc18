/**
 * Every tutorial as a newcomer follows it: its files are written, its commands are typed in a shell, and the shown
 * output is printed. The packages and Claude Code are the real ones; the providers are simulated.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { answersByTheBook } from '../examples/provider.ts'
import { FakeProvider } from '../support/provider.ts'
import { root } from './documents.ts'
import { shownOf, withoutChance } from './printed.ts'

/** The Python environment with the packages of a tutorial. (Default: .venv-test.) */
const ENVIRONMENTS: Readonly<Record<string, string>> = { crewai: '.venv-test-crewai' }
/** They wait for a person at a terminal. */
const SESSION = /^iron-cage run --budget 20 -- claude$/m

const work = mkdtempSync(join(tmpdir(), 'iron-cage-tutorials-'))
const programs = join(work, 'bin')
const home = join(work, 'home')
let provider: FakeProvider

beforeAll(async () => {
  provider = await FakeProvider.open()
  provider.does(answersByTheBook)
  for (const made of [programs, home]) mkdirSync(made)
  const own = `exec "${process.execPath}" "${join(root, 'bin/iron-cage.cjs')}" "$@"`
  // The packages are installed already: uv finds that out at once, pip takes a quarter of a minute.
  const pip = `exec "${join(root, '.venv-test/bin/uv')}" pip "$@" --quiet --no-index`
  for (const [name, line] of Object.entries({ 'iron-cage': own, npm: 'exit 0', pip })) {
    writeFileSync(join(programs, name), `#!/bin/sh\n${line}\n`, { mode: 0o755 })
  }
})
afterAll(async () => {
  await provider.close()
  rmSync(work, { recursive: true, force: true, maxRetries: 5 })
})

interface Block {
  language: string
  title: string | undefined
  text: string
}

const blocksOf = (page: string): Block[] =>
  [...page.matchAll(/^```(\w+)(?: title="([^"]+)")?\n([\s\S]*?)^```$/gm)].map(([, language, title, text]) => ({
    language: language!,
    title,
    text: text!,
  }))

/** Types the lines of a block in a folder; returns the output of both streams, in its order. */
function typed(lines: string, folder: string, name: string): Promise<string> {
  // By its real name: the sandbox allows that, and a link may lead elsewhere.
  const environment = realpathSync(join(root, name))
  const own = [programs, join(environment, 'bin'), join(root, '.venv-test-claude/node_modules/.bin')]
  const env = {
    PATH: [...own, process.env.PATH].join(':'),
    HOME: home,
    LANG: 'C.UTF-8',
    VIRTUAL_ENV: environment,
    OPENAI_API_KEY: 'sk-of-a-reader',
    ANTHROPIC_API_KEY: 'sk-ant-of-a-reader',
    OPENAI_BASE_URL: `${provider.url}/v1`,
    ANTHROPIC_BASE_URL: provider.url,
    IRON_CAGE_PORT: '0',
    ...(process.env.TEST_SANDBOX && { IRON_CAGE_SANDBOX: process.env.TEST_SANDBOX }),
  }
  return new Promise((done) => {
    const child = spawn('sh', ['-c', `exec 2>&1\n${lines}`], { cwd: folder, env, stdio: ['ignore', 'pipe', 'ignore'] })
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
    child.once('close', () => done(printed))
  })
}

const pages = readdirSync(join(root, 'docs/tutorials'))

test.concurrent.for(pages)('docs/tutorials/%s: its commands print the shown output', async (name, { expect }) => {
  const folder = mkdtempSync(join(work, 'place-'))
  const environment = ENVIRONMENTS[name.replace('.md', '')] ?? '.venv-test'
  let printed = ''
  let compared = 0
  for (const { language, title, text } of blocksOf(readFileSync(join(root, 'docs/tutorials', name), 'utf8'))) {
    if (title) {
      mkdirSync(dirname(join(folder, title)), { recursive: true })
      writeFileSync(join(folder, title), text)
    } else if (language === 'sh' && !SESSION.test(text)) {
      printed = await typed(text, folder, environment)
    } else if (language === 'text') {
      if (process.env.SHOW) console.log(`== ${name}\n${printed}`)
      else expect(shownOf(printed, text), printed).toEqual(withoutChance(text))
      compared += 1
    }
    expect(printed).not.toMatch(/museum\.example/)
    expect(printed).not.toMatch(/No solution found|not found$/m)
  }
  expect(compared).toBeGreaterThan(1)
})

expect(pages.length).toBeGreaterThan(4)
