/** Ways in which a provider fails for a moment: OpenAI's own client succeeds as often through the cage as without it. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import OpenAI from 'openai'
import { afterAll, expect, test } from 'vitest'
import { type FakeProvider, hangs, resets, type Script, sends } from '../support/provider.ts'
import { openTestRuntime } from '../support/runtime.ts'

interface Pattern {
  what: string
  /** The failures of the first requests; all others are answered. */
  failures: readonly Script[]
  calls: number
  atOnce: boolean
}

const fails = (status: number, headers: Record<string, string> = {}): Script =>
  sends(status, { 'content-type': 'application/json', ...headers }, { error: { message: 'not now' } })
const times = (count: number, script: Script): Script[] => Array(count).fill(script)

const PATTERNS: readonly Pattern[] = [
  {
    what: '429 for 12 of 20, Retry-After: 1',
    failures: times(12, fails(429, { 'retry-after': '1' })),
    calls: 20,
    atOnce: true,
  },
  { what: '429 for 12 of 20, without Retry-After', failures: times(12, fails(429)), calls: 20, atOnce: true },
  {
    what: '529 for 12 of 20, Retry-After: 1',
    failures: times(12, fails(529, { 'retry-after': '1' })),
    calls: 20,
    atOnce: true,
  },
  { what: '500 twice, then fine', failures: times(2, fails(500)), calls: 3, atOnce: false },
  { what: 'the connection breaks twice, then fine', failures: times(2, resets), calls: 3, atOnce: false },
  { what: 'silence once, then fine', failures: [hangs], calls: 3, atOnce: false },
]

const TIMEOUT_MS = 1_000

/** How many calls were answered, and how long all of them took. */
async function measure(baseURL: string, timeout: number, provider: FakeProvider, { failures, calls, atOnce }: Pattern) {
  const client = new OpenAI({ baseURL, apiKey: 'sk-of-the-agent', timeout })
  for (const script of failures) provider.doesOnce(script)
  const call = () =>
    client.chat.completions
      .create({ model: 'penny', max_tokens: 4, messages: [{ role: 'user', content: 'Say hello.' }] })
      .then(
        () => 1,
        () => 0,
      )
  const startedAt = performance.now()
  let answered = 0
  if (atOnce) answered = (await Promise.all(Array.from({ length: calls }, call))).reduce<number>((a, b) => a + b, 0)
  else for (let i = 0; i < calls; i++) answered += await call()
  return { answered, ms: Math.round(performance.now() - startedAt) }
}

const table: string[] = ['| failure | bare | in the cage |', '|---|---|---|']

afterAll(() => {
  const folder = resolve(import.meta.dirname, '../../test-output')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'failures.md'), `${table.join('\n')}\n`)
})

test.each(PATTERNS)('$what: as many calls are answered as without the cage', async (pattern) => {
  const cage = await openTestRuntime({ provider: { retries: 2, first_byte_timeout_s: TIMEOUT_MS / 1000 } })
  const bare = await measure(`${cage.provider.url}/v1`, TIMEOUT_MS, cage.provider, pattern)
  const caged = await measure(cage.addAgent().openai, 60_000, cage.provider, pattern)
  const shown = ({ answered, ms }: typeof bare) => `${answered} of ${pattern.calls} in ${ms} ms`
  table.push(`| ${pattern.what} | ${shown(bare)} | ${shown(caged)} |`)
  expect(caged.answered).toBe(bare.answered)
  expect(caged.answered).toBe(pattern.calls)
})
