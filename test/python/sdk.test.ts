/** The Python SDK's own tests: those that need nothing but Python, and all of them under pytest. */
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')

const run = (folder: string, program: string, ...words: string[]): Promise<{ code: number | null; out: string }> =>
  new Promise((done) => {
    const cwd = resolve(root, folder)
    const child = execFile(program, words, { cwd, maxBuffer: 1 << 26 }, (_error, out, err) => {
      done({ code: child.exitCode, out: out + err })
    })
  })

test("the SDK's core tests pass with nothing but the standard library", async () => {
  const { code, out } = await run('python/tests', 'python3', '-m', 'unittest', 'test_chat', 'test_package', 'test_run')
  expect(code, out).toBe(0)
  expect(out).toMatch(/^Ran [1-9]\d* tests/m)
})

test('all tests of the SDK pass: against the real program, under pytest, typed, built and installed', {
  timeout: 3_600_000,
}, async () => {
  const words = [
    '-m',
    'pytest',
    '-q',
    '-p',
    'no:cacheprovider',
    '--ignore=python/tests/frameworks',
    '--ignore=python/tests/sandbox',
    'python/tests',
  ]
  const { code, out } = await run('.', resolve(root, '.venv-test/bin/python'), ...words)
  expect(code, out).toBe(0)
  expect(out).toMatch(/[1-9]\d* passed/)
})
