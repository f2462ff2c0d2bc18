/**
 * Builds dist/ once for the whole suite: tests of the command line and of the browser run what users run. And compiles the
 * SDK: Python would do so beside its sources at the first import, while another test packs them.
 */
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')

export function setup(): void {
  const run = (program: string, ...words: string[]) => execFileSync(program, words, { cwd: root, stdio: 'inherit' })
  run(process.execPath, 'scripts/build.mjs', '--quiet')
  run('python3', '-m', 'compileall', '-q', 'python/iron_cage', 'python/shim')
}
