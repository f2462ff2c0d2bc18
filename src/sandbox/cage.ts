/**
 * Walls of the operating system around an agent: which level, what the agent may use, and the command that builds them.
 * The walls themselves are `python/iron_sandbox`, which starts the agent behind them.
 *
 *   cage.ts       what is asked for becomes a launcher's command line · reports.ts: what the launcher says
 *   bypass.ts     is a connection one to a provider · machine.ts: what this machine can do, for `doctor`
 *
 * The rules are:
 * - `strict`, `standard` and `observe` are refused where they cannot be had; only `auto` takes what there is, and says so.
 * - The home folder, and what is above it, are never granted as a whole.
 * - Files of the server are hidden where they lie in what an agent may use.
 */
import { accessSync, closeSync, constants, existsSync, openSync, readSync } from 'node:fs'
import { delimiter, dirname, isAbsolute, join, resolve, sep } from 'node:path'
import { CONFIG_FILES } from '../config/config.ts'
import type { Config } from '../config/schema.ts'
import { CageError } from '../errors.ts'
import { packageFolder } from '../package-folder.ts'

type Settings = Config['agent']['sandbox']

export interface CageRequest {
  settings: Settings
  /** What is to run behind the walls. */
  command: { program: string; args: readonly string[] }
  /** Absolute path of the script. */
  script: string
  /** Absolute path of the folder it runs in. */
  cwd: string
  environment: Readonly<Record<string, string>>
  /** Where the server listens, e.g. "http://127.0.0.1:8080". */
  serverUrl: string
  /** Absolute paths of files and folders that are the server's own. */
  serverFiles: readonly string[]
  /** What its processes are known by (`lockLimitOf`). */
  lockLimit: number
  /** (Default: this one's.) */
  platform?: NodeJS.Platform
}

/** How an agent is started behind walls; `launcher` is null when there are to be none, and `why` says it then. */
export interface Cage {
  /** As it was asked for. */
  level: Settings['level']
  launcher: { program: string; args: string[] } | null
  why: string | null
  /** Absolute paths that the agent may write to, besides a folder of its own for temporary files. */
  writes: string[]
  /** Files of the server that are there and lie in what it may use. */
  hides: string[]
}

/** Throws CageError `sandbox_unavailable` for a level that this machine cannot have. */
export function cageFor(request: CageRequest): Cage {
  const { settings, environment, platform = process.platform } = request
  const { level } = settings
  const open = (why: string): Cage => ({ level, launcher: null, why, writes: [], hides: [] })
  if (level === 'off') return open('switched off')
  const python = launcherPython(request)
  const missing =
    platform !== 'linux'
      ? 'the walls are those of the Linux kernel'
      : python === undefined && 'no Python 3 is there to build the walls'
  if (missing || python === undefined) {
    if (level === 'auto') return open(missing || '')
    throw unavailable(level, missing || '')
  }
  const home = environment.HOME
  const granted = (paths: readonly string[]) => paths.filter((path) => !isHomeOrAbove(path, home))
  const given = (paths: readonly string[]) => paths.map((path) => absolute(path, request.cwd, home))
  const writes = granted([request.cwd, ...given(settings.write)])
  const own = [dirname(request.script), request.script, ...packagesAbove(request.script)]
  const reads = granted([...own, ownFolder(), ...given(settings.read)])
  const isUsed = (path: string) => [...writes, ...reads].some((folder) => isBelow(path, folder))
  // Also those that are not there: what an agent leaves by such a name is moved aside.
  const hidden = [...request.serverFiles, ...configFilesIn(writes)].filter(isUsed)
  const launcher = launcherOf(request, python, reads, writes, [...new Set(hidden)])
  return { level, launcher, why: null, writes, hides: hidden.filter((path) => existsSync(path)) }
}

/** The error of a level that was asked for and cannot be had; `why` as the launcher or this machine says it. */
export function unavailable(level: string, why: string): CageError {
  return new CageError('sandbox_unavailable', `the sandbox "${level}" cannot be had here: ${why}`, {
    facts: { level, fault: why },
  })
}

/** Node reads the package.json of each folder above a script, and does not start where one is there and refused. */
function packagesAbove(script: string): string[] {
  const folder = dirname(script)
  const above = folder === dirname(folder) ? [] : packagesAbove(folder)
  const file = join(folder, 'package.json')
  return existsSync(file) ? [file, ...above] : above
}

/** What a later start in one of these folders would read. */
const configFilesIn = (folders: readonly string[]): string[] =>
  folders.flatMap((folder) => CONFIG_FILES.map((name) => join(folder, name)))

/** What agents import from us, and the launcher. */
const ownFolder = (): string => join(packageFolder(), 'python')

function launcherOf(
  { settings, command, serverUrl, lockLimit }: CageRequest,
  python: string,
  reads: readonly string[],
  writes: readonly string[],
  hides: readonly string[],
): { program: string; args: string[] } {
  const isPython = command.program === python
  // Strict is limited always; else whoever lists places wants no others.
  const isLimited = settings.level === 'strict' || settings.connect.length > 0
  const connect = isLimited ? [new URL(serverUrl).host, ...settings.connect] : []
  const words = [
    ...option('--level', [settings.level]),
    ...option('--read', reads),
    ...option('--write', writes),
    ...option('--hide', hides),
    ...option('--connect', connect),
    ...option('--allow', settings.allow),
    ...Object.entries(settings.limits).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name.replaceAll('_', '-')}`, String(value)],
    ),
    ...['--locks', String(lockLimit), '--report-fd', '3', '--gate'],
    ...(isPython ? ['--same-python', '--'] : ['--', command.program]),
  ]
  return { program: python, args: [...launching(), ...words, ...command.args] }
}

const option = (name: string, values: readonly string[]): string[] => values.flatMap((value) => [name, value])

/** Isolated: neither the agent's variables nor its packages reach what builds its walls. */
export const launching = (): string[] => [
  ...['-I', '-S', '-c'],
  'import sys; sys.path.insert(0, sys.argv.pop(1)); from iron_sandbox._main import command; command()',
  ownFolder(),
]

/** The agent's own interpreter, else the first one on PATH. */
function launcherPython({ command, environment }: CageRequest): string | undefined {
  if (/^python[\d.]*$/.test(command.program.split('/').at(-1)!)) return command.program
  return findPython(environment)
}

/** The first python3 of PATH, by its absolute path; a script in its place, as version managers put one there, only when all are. */
export function findPython({ PATH = '' }: Readonly<Record<string, string>>): string | undefined {
  const found = PATH.split(delimiter)
    .filter(isAbsolute)
    .map((folder) => join(folder, 'python3'))
    .filter(isExecutable)
  // Such a script takes longer to find its Python than the walls take to build.
  return found.find((path) => !isScript(path)) ?? found[0]
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
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

function absolute(path: string, cwd: string, home: string | undefined): string {
  const expanded = home !== undefined && /^~(\/|$)/.test(path) ? join(home, path.slice(1)) : path
  return resolve(cwd, expanded)
}

const isBelow = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder === sep ? sep : folder + sep)

const isHomeOrAbove = (path: string, home: string | undefined): boolean =>
  path === sep || (home !== undefined && isBelow(home, path))
