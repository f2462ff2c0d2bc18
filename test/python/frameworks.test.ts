import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { TRUST } from '../conformance/clients.ts'

const root = resolve(import.meta.dirname, '../..')
const folder = resolve(root, 'python/tests/frameworks')
const modules = readdirSync(folder)
  .filter((file) => /^test_\w+\.py$/.test(file))
  .map((file) => file.slice(0, -'.py'.length))

const PLACES = [
  { environment: '.venv-test', has: modules.filter((name) => name !== 'test_crewai') },
  { environment: '.venv-test-crewai', has: ['test_crewai'] },
]

test.each(PLACES)("the SDK's tests with the frameworks of $environment pass", { timeout: 900_000 }, async (place) => {
  const python = resolve(root, place.environment, 'bin/python')
  const ended = await new Promise<{ code: number | null; err: string }>((done) => {
    const env = { ...process.env, ...TRUST }
    const child = execFile(python, ['-m', 'unittest', ...place.has], { cwd: folder, env }, (_error, _out, err) => {
      done({ code: child.exitCode, err })
    })
  })
  expect(ended.err).toMatch(/^Ran [1-9]\d* tests/m)
  expect(ended.code, ended.err).toBe(0)
})
