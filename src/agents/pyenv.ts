/**
 * The program that a shim of pyenv would start, found by the same files. The shim is a script that needs longer to find
 * it than a sandbox needs to start, and it reads files of the home folder, which an agent may not.
 */
import { closeSync, constants, existsSync, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { AgentEnvironment } from './environment.ts'

/** The versions' folder of the pyenv that a program is a shim of; undefined for any other program. */
export function versionsBehind(program: string): string | undefined {
  const folder = dirname(program)
  const versions = join(dirname(folder), 'versions')
  return basename(folder) === 'shims' && existsSync(versions) ? versions : undefined
}

/** The chosen versions, the first that is there first, as paths of their `bin` folders; "system" for that of the system. */
export function chosenVersions(versions: string, cwd: string, { PYENV_VERSION }: AgentEnvironment): string[] {
  const chosen = PYENV_VERSION || nearest(cwd) || read(join(dirname(versions), 'version')) || 'system'
  const lines = chosen.split('\n').filter((line) => !line.startsWith('#'))
  const names = lines
    .flatMap((line) => line.split(/[\s:]+/))
    .filter((name) => name !== '' && !name.includes('/') && !name.startsWith('.'))
  return names.flatMap((name) => (name === 'system' ? [name] : installed(versions, name)))
}

/** "3.12" is the newest 3.12.x. */
function installed(versions: string, name: string): string[] {
  const all = readdirSync(versions)
  const newest = all.filter((version) => version.startsWith(`${name}.`)).sort(byNumbers)
  const version = all.includes(name) ? name : newest.at(-1)
  return version === undefined ? [] : [join(versions, version, 'bin')]
}

const byNumbers = (one: string, other: string): number => one.localeCompare(other, 'en', { numeric: true })

/** `.python-version` of this folder or the nearest one above. */
function nearest(folder: string): string | undefined {
  const found = read(join(folder, '.python-version'))
  return found ?? (folder === dirname(folder) ? undefined : nearest(dirname(folder)))
}

/** Agents may have written it: a FIFO or device is not waited for. */
function read(path: string): string | undefined {
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      return fstatSync(file).isFile() ? readFileSync(file, 'utf8').trim() : undefined
    } finally {
      closeSync(file)
    }
  } catch {
    return undefined
  }
}
