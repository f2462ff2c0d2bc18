/**
 * Decides which program may run outside a sandbox: none that an agent could have written, nor one that runs files that
 * an agent could have written. Every program that this process starts for its own needs is found here.
 *
 * The rules are:
 * - Every folder and link on the way to it belongs to root or to this user, and only they may change it.
 * - None of them is in a folder that agents may write, or in the home folder of a sandboxed agent (`.iron-sandbox`).
 * - The same holds for the libraries of an interpreter. A virtual environment is none: its configuration names others.
 * - An interpreter runs by its real path, so that it finds the libraries that were looked at.
 * - It gets no variables from which the C library takes code.
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  statSync,
} from 'node:fs'
import { basename, delimiter, dirname, isAbsolute, join, resolve, sep } from 'node:path'
import { isBelow, realPath } from '../core/paths.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** The system's own come first: an agent's folders may be on PATH. */
const SYSTEM_FOLDERS = ['/usr/bin', '/usr/local/bin', '/bin']
/** The launcher runs with these minor versions of Python 3. */
const PYTHON_MINORS = { from: 9, to: 19 }
const MAX_LINKS = 40
const OWN_HOME = '.iron-sandbox'

/** Variables from which the C library takes code. */
const LOADER_VARIABLES = /^(LD_.*|DYLD_.*|GCONV_PATH|LOCPATH|GLIBC_TUNABLES)$/

/** Separates what programs outside a sandbox are given from what only the C library of an agent may see. */
export function splitEnvironment<Value extends string | undefined>(
  environment: Readonly<Record<string, Value>>,
): { safe: Record<string, Value>; loader: Record<string, Value> } {
  const [safe, loader]: [Record<string, Value>, Record<string, Value>] = [{}, {}]
  for (const [name, value] of Object.entries(environment)) (LOADER_VARIABLES.test(name) ? loader : safe)[name] = value
  return { safe, loader }
}

/** The environment of a program outside a sandbox: no folders on PATH where it could find the work of an agent. */
export function trustedEnvironment(environment: Environment, writable: readonly string[]): Environment {
  const { PATH, ...rest } = splitEnvironment(environment).safe
  const closed = writable.map(realPath)
  const folders = PATH?.split(delimiter).filter((folder) => isAbsolute(folder) && isSafeFolder(folder, closed))
  return folders ? { ...rest, PATH: folders.join(delimiter) } : rest
}

/** The path of the first such program of the system, or on PATH, that may run outside a sandbox. */
export function findTrusted(name: string, { PATH = '' }: Environment, writable: readonly string[]): string | undefined {
  const folders = [...SYSTEM_FOLDERS, ...PATH.split(delimiter).filter(isAbsolute)]
  const closed = writable.map(realPath)
  return firstOf(folders, (folder) => programOutOfReach(join(folder, name), closed))
}

/** The real path of a Python that may run outside a sandbox: the system's, else one on PATH, else what `known` was made from. */
export function findTrustedPython(
  known: string | undefined,
  { PATH = '' }: Environment,
  writable: readonly string[],
): string | undefined {
  const folders = [...SYSTEM_FOLDERS, ...PATH.split(delimiter).filter(isAbsolute)]
  const minors = Array.from(
    { length: PYTHON_MINORS.to - PYTHON_MINORS.from + 1 },
    (_, index) => PYTHON_MINORS.to - index,
  )
  const names = ['python3', ...minors.map((minor) => `python3.${minor}`)]
  const places = [...folders.flatMap((folder) => names.map((name) => join(folder, name))), ...(known ? [known] : [])]
  const closed = writable.map(realPath)
  return firstOf(places, (place) => trustedPython(place, closed))
}

/** The path itself, if it is a program that may run outside a sandbox. */
export const trustedPath = (path: string, writable: readonly string[]): string | undefined =>
  programOutOfReach(path, writable.map(realPath))

/** `closed`: the real paths of where agents may write. */
function programOutOfReach(path: string, closed: readonly string[]): string | undefined {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile() && isOutOfReach(path, closed) ? path : undefined
  } catch {
    return undefined
  }
}

/** The target of the path: an agent's Python is a link in the agent's folder, and only its target would run. */
function trustedPython(path: string, closed: readonly string[]): string | undefined {
  try {
    const real = realpathSync(path)
    const minor = /^python3\.(\d+)$/.exec(basename(real))?.[1]
    const prefix = dirname(dirname(real))
    const libraries = ['lib', 'lib64']
      .map((name) => join(prefix, name))
      .filter(existsSync)
      .flatMap((folder) =>
        readdirSync(folder)
          .filter(isLibrary(minor))
          .map((name) => join(folder, name)),
      )
    const isVirtual = [dirname(real), prefix].some((folder) => existsSync(join(folder, 'pyvenv.cfg')))
    const isWhole = libraries.length > 0 && !isVirtual && !isScript(real)
    const isSafe = libraries.every((folder) => isOutOfReach(folder, closed) && !holdsAny(folder, closed))
    return isWhole && isSafe ? programOutOfReach(real, closed) : undefined
  } catch {
    return undefined
  }
}

function isSafeFolder(folder: string, closed: readonly string[]): boolean {
  try {
    return isOutOfReach(folder, closed)
  } catch {
    return false
  }
}

/** Of this minor version, or of any that the launcher runs with. */
const isLibrary = (known: string | undefined) => (name: string) => {
  const minor = /^python3\.(\d+)t?$/.exec(name)?.[1]
  if (minor === undefined || (known !== undefined && minor !== known)) return false
  return Number(minor) >= PYTHON_MINORS.from && Number(minor) <= PYTHON_MINORS.to
}

/** Throws the system's error for a path that does not exist. */
function isOutOfReach(path: string, closed: readonly string[]): boolean {
  const owners = new Set([0, process.getuid?.(), lstatSync(sep).uid])
  return wayTo(path).every((place) => {
    const { uid, mode } = lstatSync(place)
    const isOthers = (mode & 0o2) !== 0 && (mode & 0o1000) === 0 && (mode & constants.S_IFMT) !== constants.S_IFLNK
    return (
      owners.has(uid) && !isOthers && basename(place) !== OWN_HOME && !closed.some((folder) => isBelow(place, folder))
    )
  })
}

const holdsAny = (folder: string, closed: readonly string[]): boolean => {
  const real = realPath(folder)
  return closed.some((path) => isBelow(path, real))
}

/** The folders and links on the way to a path, and its target, each by its real name. */
function wayTo(path: string): string[] {
  const way: string[] = []
  const parts = resolve(path).split(sep).filter(Boolean)
  let at = ''
  for (let links = 0; parts.length > 0; ) {
    const part = parts.shift()!
    if (part === '..') {
      at = at === '' ? '' : at.slice(0, at.lastIndexOf(sep))
      continue
    }
    const here = at + sep + part
    way.push(here)
    if (!lstatSync(here).isSymbolicLink()) {
      at = here
      continue
    }
    if (++links > MAX_LINKS) throw new Error(`too many links: ${path}`)
    const target = readlinkSync(here)
    if (isAbsolute(target)) at = ''
    parts.unshift(...target.split(sep).filter((name) => name !== '' && name !== '.'))
  }
  return way
}

function isScript(path: string): boolean {
  const start = Buffer.alloc(2)
  const file = openSync(path, 'r')
  try {
    readSync(file, start)
  } finally {
    closeSync(file)
  }
  return start.toString() === '#!'
}

function firstOf<Item, Found>(items: readonly Item[], find: (item: Item) => Found | undefined): Found | undefined {
  for (const item of items) {
    const found = find(item)
    if (found !== undefined) return found
  }
  return undefined
}
