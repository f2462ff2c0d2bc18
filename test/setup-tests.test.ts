import { execFile, execFileSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'

const SCRIPTS = resolve(import.meta.dirname, '../scripts')

/** Runs a copy as that user on a machine that has none of the packages; returns its output and the calls of apt-get. */
async function setUpAs(user: number, variables: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-setup-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const [programs, scripts, calls] = [join(folder, 'bin'), join(folder, 'scripts'), join(folder, 'calls')]
  for (const made of [programs, scripts]) mkdirSync(made)
  for (const name of readdirSync(SCRIPTS).filter((one) => /^(setup-tests|test-requirements)/.test(one))) {
    copyFileSync(join(SCRIPTS, name), join(scripts, name))
  }
  for (const name of ['bash', 'dirname', 'cksum', 'cat', 'rm']) {
    symlinkSync(execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim(), join(programs, name))
  }
  const program = (name: string, line: string) =>
    writeFileSync(join(programs, name), `#!${join(programs, 'bash')}\n${line}\n`, { mode: 0o755 })
  program('id', `echo ${user}`)
  for (const name of ['apt-get', 'sudo']) program(name, `echo "${name} $*" >> ${calls}`)
  writeFileSync(calls, '')
  const { stdout, stderr } = await promisify(execFile)('bash', [join(scripts, 'setup-tests.sh')], {
    env: { PATH: programs, ...variables },
  })
  return { output: stdout + stderr, calls: readFileSync(calls, 'utf8') }
}

test('the test set-up installs nothing for an ordinary user, and names the one command to type', async () => {
  const { output, calls } = await setUpAs(1000)
  expect(output).toMatch(
    /^Some tests will fail without these packages\. .*: sudo apt-get install chromium .*python3-venv$/m,
  )
  expect(calls).toBe('')
})

test.each([
  ['root', 0, {}, /^apt-get install -y -qq chromium /m],
  ['CI', 1000, { CI: 'true' }, /^sudo apt-get install -y -qq chromium /m],
])('the test set-up installs them as %s, and prints it', async (_, user, variables, installed) => {
  const { output, calls } = await setUpAs(user, variables)
  expect(output).toMatch(/^Installing chromium .* \(once\)/m)
  expect(calls).toMatch(installed)
})
