/** Builds dist/ once for the whole suite: tests of the command line and of the browser run what users run. */
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'

export function setup(): void {
  execFileSync(process.execPath, [resolve(import.meta.dirname, '../../scripts/build.mjs'), '--quiet'], {
    stdio: 'inherit',
  })
}
