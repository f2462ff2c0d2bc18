/**
 * Finds the program that runs an agent. Whatever is certain to fail is refused here, before anything runs and before
 * the restart policy would retry it.
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  openSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs'
import { delimiter, dirname, extname, isAbsolute, join, resolve } from 'node:path'
import { CageError } from '../core/errors.ts'
import { isSingleExecutable } from '../core/package-folder.ts'
import type { AgentEnvironment } from './environment.ts'
import { chosenVersions, versionsBehind } from './pyenv.ts'

export interface Command {
  program: string
  args: readonly string[]
}

/** The command: a script, a Python module by its dotted name, or a program, by path or found on PATH. */
export const AGENT_KINDS = ['script', 'module', 'command'] as const
export type AgentKind = (typeof AGENT_KINDS)[number]

/** Something to run. */
export interface AgentTarget {
  kind: AgentKind
  /** As it is named: the path of a script, a module, or a program. */
  name: string
}

/** A target with its place. */
export interface FoundTarget extends AgentTarget {
  /** Absolute path of the script or program; for a module, where it would be in the working folder. */
  path: string
}

export interface CommandChoice {
  target: FoundTarget
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
  const { target, args, environment } = choice
  if (target.kind === 'command') return { program: target.path, args }
  if (target.kind === 'module') return { program: findPython(choice), args: ['-m', target.name, ...args] }
  const script = target.path
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

/**
 * Finds a script below the folder that iron-cage was started in, and a program or module from the agent's working folder. Throws
 * CageError `script_not_found` for a program that is not there, `usage` for text that is no name of a module.
 */
export function findTarget(target: AgentTarget, cwd: string, environment: AgentEnvironment): FoundTarget {
  const { kind, name } = target
  if (kind === 'script') return { ...target, path: resolve(name) }
  if (kind === 'module') {
    if (!MODULE.test(name)) throw new CageError('usage', `"${name}" is not the name of a Python module`)
    return { ...target, path: join(cwd, name.replaceAll('.', '/')) }
  }
  const path = name.includes('/') ? resolve(cwd, name) : findProgram(name, environment)
  if (path === undefined) {
    throw refusal('script_not_found', name, 'is not on PATH', 'install it, or name its file with a slash: ./program')
  }
  checkFile(path)
  if (!isExecutable(path)) throw refusal('not_executable', path, 'is not executable')
  return { ...target, path }
}

const MODULE = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/

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
 * The user's choice, else the active virtual environment's, else that of .venv or venv next to the script, in the root of
 * its project, or in the working folder, else python3.
 */
export function findPython({ target, python: named, environment, cwd }: CommandChoice): string {
  const { VIRTUAL_ENV } = environment
  const beside = target.kind === 'module' ? cwd : dirname(target.path)
  const near = [...new Set([beside, ...projectRootsOf(beside), cwd])].flatMap(pythonsNear)
  const usual = [...(VIRTUAL_ENV ? [pythonIn(VIRTUAL_ENV)] : []), ...near, 'python3']
  const places = named === undefined ? usual : [named.includes('/') ? resolve(named) : named]
  for (const place of places) {
    const found = place.includes('/') ? executableOrNone(place) : pythonOnPath(place, cwd, environment)
    if (found) return found
  }
  const tried = places.map((place) => (place.includes('/') ? place : `${place} on PATH`)).join(', ')
  const found = near.find(isExecutable)
  throw new CageError('interpreter_not_found', `no Python can be run: tried ${tried}`, {
    facts: { path: places.at(-1) },
    hint: found && `there is one here: --python ${found}`,
  })
}

/** A shim of pyenv stands for the program that it would start. */
function pythonOnPath(name: string, cwd: string, environment: AgentEnvironment): string | undefined {
  const found = placesOnPath(name, environment).filter(isExecutable)
  for (const program of found) {
    const versions = versionsBehind(program)
    if (versions === undefined) return program
    const folder = chosenVersions(versions, cwd, environment).find(
      (bin) => bin === 'system' || isExecutable(join(bin, name)),
    )
    if (folder !== 'system') return folder === undefined ? program : join(folder, name)
  }
  return found[0]
}

/** uv and Poetry keep .venv beside these; a member of a workspace has its own, and the workspace the environment. */
const PROJECT_FILES = ['pyproject.toml', 'uv.lock', 'poetry.lock']

/** The folder itself and those above it that are the root of a Python project, nearest first. */
function projectRootsOf(folder: string): string[] {
  const parent = dirname(folder)
  const above = parent === folder ? [] : projectRootsOf(parent)
  return PROJECT_FILES.some((name) => existsSync(join(folder, name))) ? [folder, ...above] : above
}

const pythonsNear = (folder: string): string[] => ['.venv', 'venv'].map((name) => pythonIn(join(folder, name)))

const pythonIn = (virtualEnvironment: string): string => join(virtualEnvironment, 'bin', 'python')

/** What decides which Python a virtual environment is of; none for a program that is in no such environment. */
export function filesOfEnvironment(program: string): string[] {
  const environment = dirname(dirname(program))
  const files = [join(environment, 'pyvenv.cfg'), pythonIn(environment)]
  if (!files.every(existsSync)) return []
  return lstatSync(environment).isSymbolicLink() ? [environment, ...files] : files
}

/** The Node we run on; in the single executable, the one on PATH. */
function findNode(environment: AgentEnvironment): string {
  const found = isSingleExecutable() ? findProgram('node', environment) : process.execPath
  if (found) return found
  throw refusal('interpreter_not_found', 'node', 'is not on PATH', 'install Node for agents written in JavaScript')
}

/** The absolute path of a program on PATH. */
export const findProgram = (name: string, environment: AgentEnvironment): string | undefined =>
  placesOnPath(name, environment).find(isExecutable)

function placesOnPath(name: string, { PATH = '' }: AgentEnvironment): string[] {
  const folders = PATH.split(delimiter).filter(isAbsolute)
  return folders.map((folder) => join(folder, name))
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
