/** The artifacts of a release, built once for all tests that look at them. */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { madeOnce } from '../support/made-once.ts'

const root = resolve(import.meta.dirname, '../..')
const build = (script: string, ...words: string[]) =>
  promisify(execFile)(process.execPath, [join(root, 'scripts', script), ...words])

/** The folder with the executable, and its checksum beside it. */
export const executable = (): Promise<string> =>
  madeOnce('executable', (folder) => build('build-binary.mjs', '--quiet', '--out', folder))

/** The folder with every artifact. */
export const release = (): Promise<string> =>
  madeOnce('release', async (folder) => {
    const python = join(root, '.venv-test/bin/python')
    await build('release/release.mjs', '--out', folder, '--built', await executable(), '--python', python)
  })

/** Its one artifact whose name ends so. */
export const artifact = (folder: string, end: string): string =>
  join(folder, readdirSync(folder).find((name) => name.endsWith(end))!)
