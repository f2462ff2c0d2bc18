/**
 * Builds dist/ once for the whole suite: tests of the command line and of the browser run what users run. And compiles the
 * SDK: Python would do so beside its sources at the first import, while another test packs them.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import type { TestProject } from 'vitest/node'
import { makeMemory } from './in-memory.ts'
import type {} from './made-once.ts'

const root = resolve(import.meta.dirname, '../..')

export function setup(project: TestProject): () => void {
  const python = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim()
  // Where "python3" is a script of a version manager, that takes longer than many of our agents. A folder of the system
  // stays where it is: it has another Node too.
  const folders = process.env.PATH!.split(delimiter)
  if (!folders.includes(dirname(python))) process.env.PATH = [dirname(python), ...folders].join(delimiter)
  const run = (program: string, ...words: string[]) => execFileSync(program, words, { cwd: root, stdio: 'inherit' })
  run(process.execPath, 'scripts/build.mjs', '--quiet')
  run('python3', '-m', 'compileall', '-q', 'python/iron_cage', 'python/shim')
  const made = mkdtempSync(join(tmpdir(), 'iron-cage-made-'))
  project.provide('made', made)
  const memory = makeMemory()
  project.provide('memory', memory)
  return () => {
    for (const folder of [made, memory]) rmSync(folder, { recursive: true, force: true })
  }
}
