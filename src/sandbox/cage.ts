/**
 * The sandbox around an agent, built from mechanisms of the operating system: its level, the agent's rights, and the
 * command that builds it. The sandbox itself is `python/iron_sandbox`, which starts the agent inside.
 *
 *   cage.ts       settings become a launcher's command line · reports.ts: the launcher's reports
 *   bypass.ts     connections to providers · machine.ts: what this machine supports, for `doctor`
 *   trusted-program.ts   which program may run outside · ask.ts: questions to an agent's interpreter
 *
 * The rules are:
 * - `strict`, `standard` and `observe` are refused where they are not supported; only `auto` falls back, and
 *   reports it.
 * - The home folder and its parents are never granted as a whole.
 * - The server's files are hidden where they are inside a granted folder.
 * - The launcher has a separate interpreter, which no agent may write (`trusted-program.ts`); the agent's interpreter
 *   starts inside.
 */
import { existsSync, realpathSync } from 'node:fs'
import { dirname, join, resolve, sep } from 'node:path'
import { CONFIG_FILES } from '../config/config.ts'
import type { Config } from '../config/schema.ts'
import { CageError } from '../core/errors.ts'
import { packageFolder } from '../core/package-folder.ts'
import { isBelow } from '../core/paths.ts'
import { findTrustedPython, splitEnvironment } from './trusted-program.ts'

type Settings = Config['agent']['sandbox']

export interface CageRequest {
  settings: Settings
  /** The hosts that it reaches through this server. (Default: its connections are its own.) */
  egress?: Config['agent']['egress']
  /** The agent to sandbox. */
  command: { program: string; args: readonly string[] }
  /** Absolute path of the script or program. */
  script: string
  /** Absolute path of its working folder. */
  cwd: string
  environment: Readonly<Record<string, string>>
  /** The server's address, e.g. "http://127.0.0.1:8080". */
  serverUrl: string
  /** Absolute paths of the server's own files and folders. */
  serverFiles: readonly string[]
  /** The mark that identifies its processes (`lockLimitOf`). */
  lockLimit: number
  /** Folders that other agents may write, or could. (Default: none.) */
  agentFolders?: readonly string[]
  /** (Default: this one's.) */
  platform?: NodeJS.Platform
}

/** How an agent is started in its sandbox; `launcher` is null for no sandbox. */
export interface Cage {
  /** The requested level. */
  level: Settings['level']
  launcher: { program: string; words: string[] } | null
  /** Why there is no sandbox, or its gap. */
  why: string | null
  /** Absolute paths that the agent may write to, besides its own folder for temporary files. */
  writes: string[]
  /** The home folder and its parents, of those where the agent is or runs: it reads its script there, nothing else. */
  closed: string[]
  /** Existing files of the server inside granted folders. */
  hides: string[]
}

/** Throws CageError `sandbox_unavailable` for a level that this machine does not support. */
export function cageFor(request: CageRequest): Cage {
  const { settings, environment, platform = process.platform } = request
  const { level } = settings
  const open = (why: string): Cage => ({ level, launcher: null, why, writes: [], closed: [], hides: [] })
  if (level === 'off') return open('switched off')
  const home = environment.HOME
  const writes = writesOf(request)
  const python = launcherPython(request)
  const missing = platform !== 'linux' ? 'the sandbox needs a Linux kernel' : python === undefined && NO_PYTHON
  if (missing || python === undefined) {
    if (level === 'auto') return open(missing || '')
    throw unavailable(level, missing || '')
  }
  const granted = (paths: readonly string[]) => paths.filter((path) => !isHomeOrAbove(path, home))
  const closed = [...new Set([request.cwd, dirname(request.script)])].filter((path) => isHomeOrAbove(path, home))
  const own = [
    dirname(request.script),
    request.script,
    ...packagesAbove(request.script),
    ...installedIn(request.script),
  ]
  const reads = granted([...own, ownFolder(), ...absolutes(settings.read, request)])
  const isUsed = (path: string) => [...writes, ...reads].some((folder) => isBelow(path, folder))
  // Missing files as well: every file that an agent leaves under such a name is moved aside.
  const hidden = [...request.serverFiles, ...configFilesIn(writes)].filter(isUsed)
  const keeps = ownPrograms().filter((path) => writes.some((folder) => isBelow(path, folder)))
  const paths = { read: reads, write: writes, own: closed, hide: [...new Set(hidden)], keep: keeps }
  const launcher = launcherOf(request, python, paths)
  return { level, launcher, why: null, writes, closed, hides: hidden.filter((path) => existsSync(path)) }
}

const NO_PYTHON =
  'there is no Python 3.9 or newer to build it that no agent may write: install that of the system ("apt-get install python3", "dnf install python3")'

/** Where the agent may write: its working folder and the configured paths, without the home and its parents. */
function writesOf(request: Pick<CageRequest, 'settings' | 'cwd' | 'environment'>): string[] {
  const paths = [request.cwd, ...absolutes(request.settings.write, request)]
  return paths.filter((path) => !isHomeOrAbove(path, request.environment.HOME))
}

const absolutes = (paths: readonly string[], { cwd, environment }: Pick<CageRequest, 'cwd' | 'environment'>) =>
  paths.map((path) => absolute(path, cwd, environment.HOME))

/** The error for a level that is not supported; `why` is the reason of the launcher or of this machine. */
export function unavailable(level: string, why: string): CageError {
  return new CageError('sandbox_unavailable', `the sandbox level "${level}" is not available here: ${why}`, {
    facts: { level, fault: why },
  })
}

/**
 * What Node reads of each folder above a script: the package.json, without which it does not start when there is one, and
 * the packages installed there.
 */
function packagesAbove(script: string): string[] {
  const folder = dirname(script)
  const above = folder === dirname(folder) ? [] : packagesAbove(folder)
  return [
    ...['package.json', 'node_modules'].map((name) => join(folder, name)).filter((path) => existsSync(path)),
    ...above,
  ]
}

/** The folder that a link leads to, with its packages, and the Python of an installed program. */
function installedIn(script: string): string[] {
  if (!existsSync(script)) return []
  const real = realpathSync(script)
  return [...(real === script ? [] : [dirname(real), ...packagesAbove(real)]), ...pythonOf(script)]
}

/** The virtual environment that a program is installed in, and what that was made from: pyenv and uv keep theirs in the home. */
function pythonOf(script: string): string[] {
  const environment = dirname(dirname(script))
  const python = join(environment, 'bin/python')
  if (!existsSync(join(environment, 'pyvenv.cfg'))) return []
  return [environment, ...(existsSync(python) ? [dirname(dirname(realpathSync(python)))] : [])]
}

/** Files that a later start in one of these folders would read. */
const configFilesIn = (folders: readonly string[]): string[] =>
  folders.flatMap((folder) => CONFIG_FILES.map((name) => join(folder, name)))

/** The program of the next `iron-cage`: this program, its packages and its Node, which an agent may not change. */
function ownPrograms(): string[] {
  const folder = packageFolder().replace(/\/$/, '')
  const packages = folder.lastIndexOf(`${sep}node_modules${sep}`)
  const parts = ['bin', 'dist', 'python', 'src', 'node_modules', 'package.json'].map((name) => join(folder, name))
  const installed = packages < 0 ? parts : [folder.slice(0, packages + '/node_modules'.length)]
  return [...installed, process.execPath, realpathSync(process.execPath)].filter((path) => existsSync(path))
}

/** The Python packages that agents import, and the launcher. */
export const ownFolder = (): string => join(packageFolder(), 'python')

function launcherOf(
  { settings, egress, command, serverUrl, lockLimit }: CageRequest,
  python: string,
  paths: Readonly<Record<'read' | 'write' | 'own' | 'hide' | 'keep', readonly string[]>>,
): { program: string; words: string[] } {
  // Always limited at `strict`; at other levels a list of places means that others are refused.
  const isLimited = settings.level === 'strict' || settings.connect.length > 0 || egress?.mode === 'enforce'
  const connect = isLimited ? [new URL(serverUrl).host, ...settings.connect] : []
  const words = [
    ...option('--level', [settings.level]),
    ...Object.entries(paths).flatMap(([name, values]) => option(`--${name}`, values)),
    ...option('--connect', connect),
    ...(egress ? ['--gateway'] : []),
    ...option('--allow', settings.allow),
    ...Object.entries(settings.limits).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name.replaceAll('_', '-')}`, String(value)],
    ),
    ...['--locks', String(lockLimit), '--report-fd', '3', '--gate'],
    ...['--', command.program, ...command.args],
  ]
  return { program: python, words }
}

const option = (name: string, values: readonly string[]): string[] => values.flatMap((value) => [name, value])

/** The arguments of a Python before the launcher's own. Isolated: the agent's variables and packages must not reach the launcher. */
export const launching = (): string[] => [
  ...['-I', '-S', '-c'],
  'import sys; sys.path.insert(0, sys.argv.pop(1)); from iron_sandbox._main import command; command()',
  ownFolder(),
]

/** The environment of a launcher, and the options that give its program the rest. */
export function outside(environment: CageRequest['environment']): { env: Record<string, string>; options: string[] } {
  const { safe, loader } = splitEnvironment(environment)
  return { env: safe, options: Object.entries(loader).flatMap(([name, value]) => ['--env', `${name}=${value}`]) }
}

/** The Python that builds the sandbox; undefined when all that there are could be the work of an agent. */
export function launcherPython(
  request: Pick<CageRequest, 'settings' | 'command' | 'cwd' | 'environment' | 'agentFolders'>,
): string | undefined {
  const writable = [...writesOf(request), ...(request.agentFolders ?? [])]
  return findTrustedPython(request.command.program, request.environment, writable)
}

function absolute(path: string, cwd: string, home: string | undefined): string {
  const expanded = home !== undefined && /^~(\/|$)/.test(path) ? join(home, path.slice(1)) : path
  return resolve(cwd, expanded)
}

const isHomeOrAbove = (path: string, home: string | undefined): boolean =>
  path === sep || (home !== undefined && isBelow(home, path))
