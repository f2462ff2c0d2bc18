/** The Python SDK's own tests, with the oldest Python there is and no package but itself, and with all of the test environment. */
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')

const run = (program: string, ...words: string[]): Promise<{ code: number | null; out: string }> =>
  new Promise((done) => {
    const child = execFile(program, words, { cwd: root, maxBuffer: 1 << 26 }, (_error, out, err) => {
      done({ code: child.exitCode, out: out + err })
    })
  })

test('those of its core pass with nothing but the standard library', { timeout: 120_000 }, async () => {
  const { code, out } = await run(
    'python3',
    '-m',
    'unittest',
    'discover',
    '-s',
    'python/tests',
    '-p',
    'test_[cpr]*[ten].py',
  )
  expect(out).toMatch(/^Ran [1-9]\d* tests/m)
  expect(code, out).toBe(0)
})

test('all pass: against the real program, under pytest, typed, built and installed', { timeout: 900_000 }, async () => {
  const { code, out } = await run(
    '.venv-test/bin/python',
    '-m',
    'pytest',
    '-q',
    '-p',
    'no:cacheprovider',
    'python/tests',
  )
  expect(out).toMatch(/[1-9]\d* passed/)
  expect(code, out).toBe(0)
})
