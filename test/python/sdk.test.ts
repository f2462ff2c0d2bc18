import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

test("the Python SDK's own tests pass", { timeout: 60_000 }, () => {
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const { status, stderr } = spawnSync('python3', ['-m', 'unittest', 'discover', '-s', 'python/tests'], {
    cwd,
    encoding: 'utf8',
  })
  expect(stderr).toMatch(/^Ran [1-9]\d* tests/m)
  expect(status, stderr).toBe(0)
})
