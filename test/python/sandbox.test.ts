/**
 * `iron_sandbox` by itself: its own tests, with the walls of this machine, and the package installed from the index.
 */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')

const run = (program: string, words: string[], cwd: string): Promise<{ code: number | null; out: string }> =>
  new Promise((done) => {
    const child = execFile(program, words, { cwd, maxBuffer: 1 << 26 }, (_error, out, err) => {
      done({ code: child.exitCode, out: out + err })
    })
  })

test.runIf(process.platform === 'linux')(
  'the sandbox tests pass, and each probe is stopped as documented in docs/sandbox.md',
  async () => {
    const { code, out } = await run('python3', ['in_parallel.py', 'test_sandbox'], join(root, 'python/tests/sandbox'))
    expect(code, out).toBe(0)
    expect(out).toMatch(/^Ran [1-9]\d* tests, 0 failed$/m)
  },
)

test('the wheel holds its modules and nothing else, and needs nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'iron-sandbox-wheel-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const source = join(folder, 'iron_sandbox')
  cpSync(join(root, 'python/iron_sandbox'), source, {
    recursive: true,
    filter: (path) => !path.includes('__pycache__'),
  })
  const python = join(root, '.venv-test/bin/python')
  const built = await run(python, ['-m', 'build', '--wheel', '--no-isolation', '--outdir', folder, source], folder)
  expect(built.code, built.out).toBe(0)
  const look = `import glob, zipfile; z = zipfile.ZipFile(glob.glob('*.whl')[0])
names = z.namelist(); meta = z.read([n for n in names if n.endswith('METADATA')][0]).decode()
print(all(n.startswith('iron_sandbox/_') and n.endswith('.py') for n in names if '.dist-info/' not in n), len(names) > 15, 'Requires-Dist' in meta)`
  expect((await run(python, ['-c', look], folder)).out).toBe('True True False\n')
})
