/**
 * Finds the program that runs a script. Whatever is certain to fail is refused here, before anything runs and before
 * the restart policy would retry it.
 */
import { accessSync, closeSync, constants, openSync, readSync, type Stats, statSync } from 'node:fs'
import { delimiter, dirname, extname, isAbsolute, join, resolve } from 'node:path'
import { CageError } from '../errors.ts'
import { isSingleExecutable } from '../package-folder.ts'
import type { AgentEnvironment } from './environment.ts'

export interface Command {
  program: string
  args: readonly string[]
}

export interface CommandChoice {
  /** Absolute path of the script. */
  script: string
  args: readonly string[]
  /** The interpreter chosen by the user: a path, or a name to look up. */
  python: string | undefined
  /** Absolute path of the script's working folder. */
  cwd: string
  /** The environment that PATH and VIRTUAL_ENV are read from. */
  environment: AgentEnvironment
}

const NODE_ENDINGS = new Set(['.js', '.mjs', '.ts'])

/** Throws CageError `script_not_found`, `interpreter_not_found` or `not_executable`. */
export function chooseCommand(choice: CommandChoice): Command {
  const { script, args, environment } = choice
  checkFile(script)
  const ending = extname(script)
  if (ending === '.py') {
    checkReadable(script)
    return { program: findPython(choice), args: [script, ...args] }
  }
  if (NODE_ENDINGS.has(ending)) {
    checkReadable(script)
    return { program: findNode(environment), args: [script, ...args] }
  }
  if (!isExecutable(script)) throw refusal('not_executable', script, 'is not executable')
  return { program: script, args }
}

/** Returns the absolute path. Throws CageError `invalid_config` when it is not a folder. */
export function requireFolder(path: string): string {
  const folder = resolve(path)
  if (statOrFault(folder).stats?.isDirectory()) return folder
  throw new CageError('invalid_config', `agent.cwd: expected a folder, got ${folder}`, { facts: { path: folder } })
}

function checkFile(script: string): void {
  const { stats, fault } = statOrFault(script)
  if (!stats)
    throw refusal('script_not_found', script, fault === 'ENOENT' ? 'does not exist' : `is not there (${fault})`)
  if (stats.isDirectory()) throw refusal('not_executable', script, 'is a directory', 'name the script inside it')
}

/** `fault`: the system's code, e.g. ENOENT. */
function statOrFault(path: string): { stats?: Stats; fault?: string } {
  try {
    return { stats: statSync(path) }
  } catch (error) {
    return { fault: (error as NodeJS.ErrnoException).code }
  }
}

/** Reads a byte instead of calling access(), which checks another user than the one that opens. */
function checkReadable(script: string): void {
  try {
    const file = openSync(script, 'r')
    try {
      readSync(file, Buffer.alloc(1))
    } finally {
      closeSync(file)
    }
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown fault'
    throw refusal('not_executable', script, `cannot be read (${why})`, 'allow this user to read the file', cause)
  }
}

/**
 * The user's choice, else the active virtual environment's, else that of .venv or venv next to the script, else
 * python3.
 */
function findPython({ script, python: named, environment, cwd }: CommandChoice): string {
  const { VIRTUAL_ENV } = environment
  const usual = [...(VIRTUAL_ENV ? [pythonIn(VIRTUAL_ENV)] : []), ...pythonsNear(dirname(script)), 'python3']
  const places = named === undefined ? usual : [named.includes('/') ? resolve(named) : named]
  for (const place of places) {
    const found = place.includes('/') ? executableOrNone(place) : findOnPath(place, environment)
    if (found) return found
  }
  const tried = places.map((place) => (place.includes('/') ? place : `${place} on PATH`)).join(', ')
  const near = [dirname(script), cwd].flatMap(pythonsNear).find(isExecutable)
  throw new CageError('interpreter_not_found', `no Python can be run: tried ${tried}`, {
    facts: { path: places.at(-1) },
    hint: near && `there is one here: --python ${near}`,
  })
}

const pythonsNear = (folder: string): string[] => ['.venv', 'venv'].map((name) => pythonIn(join(folder, name)))

const pythonIn = (virtualEnvironment: string): string => join(virtualEnvironment, 'bin', 'python')

/** The Node we run on; in the single executable, the one on PATH. */
function findNode(environment: AgentEnvironment): string {
  const found = isSingleExecutable() ? findOnPath('node', environment) : process.execPath
  if (found) return found
  throw refusal('interpreter_not_found', 'node', 'is not on PATH', 'install Node for agents written in JavaScript')
}

function findOnPath(name: string, environment: AgentEnvironment): string | undefined {
  const folders = (environment.PATH ?? '').split(delimiter).filter(isAbsolute)
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

const executableOrNone = (path: string): string | undefined => (isExecutable(path) ? path : undefined)

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

function refusal(
  code: 'script_not_found' | 'interpreter_not_found' | 'not_executable',
  path: string,
  what: string,
  hint?: string,
  cause?: unknown,
): CageError {
  return new CageError(code, `${path} ${what}`, { facts: { path }, hint, cause })
}
