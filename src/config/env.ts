/**
 * The only reader of the process's environment. It names every variable and hands out values; what a setting may hold
 * is decided where settings of every origin are (`config.ts`).
 *
 * An empty variable counts as not set, but for IRON_CAGE_BUDGET: an empty budget is a mistake of quoting, and ignoring
 * it would mean a limit nobody asked for.
 *
 * The master key comes by file or by variable. What a process was started with can be read by every process of the same
 * user (`/proc/<pid>/environ`), also after the variable was removed; so `hideMasterKey` becomes the same program anew
 * without it, and the key comes along in a pipe. Nothing that we start finds any of these variables.
 */
import { closeSync, existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Setting } from './config.ts'

export interface Environment {
  /** Settings of the configuration, in the order of SETTINGS. */
  settings: Setting[]
  /** IRON_CAGE_CONFIG: the configuration file. */
  configFile?: string
  /** IRON_CAGE_URL and IRON_CAGE_TOKEN: the server that commands talk to, instead of the one beside the database. */
  serverUrl?: string
  serverToken?: string
  /** NO_COLOR is set to anything. */
  noColor: boolean
  /** DISPLAY or WAYLAND_DISPLAY is set: a browser can be shown. */
  hasDisplay: boolean
  /** The key that opens the vault, without the end of its line; or why there is none although one is named. */
  readMasterKey(): { masterKey?: string; masterKeyProblem?: string; masterKeyFile?: string }
  /** Everything but the master key, for a process that is started. */
  variables: Readonly<Record<string, string>>
}

/** Variables that set a key of the configuration. */
export const SETTINGS = [
  ['IRON_CAGE_PORT', ['server', 'port']],
  ['IRON_CAGE_HOST', ['server', 'host']],
  ['IRON_CAGE_DB', ['db', 'path']],
  ['IRON_CAGE_BUDGET', ['budget', 'limit_usd']],
  ['IRON_CAGE_SAFETY_MODE', ['safety', 'mode']],
  ['IRON_CAGE_ENV', ['agent', 'environment']],
  ['IRON_CAGE_SANDBOX', ['agent', 'sandbox', 'level']],
  ['IRON_CAGE_LOG_LEVEL', ['log', 'level']],
] as const

/** The other variables that are read; docs/configuration.md lists both. */
export const VARIABLES = {
  IRON_CAGE_CONFIG: 'Path of the configuration file.',
  IRON_CAGE_MASTER_KEY_FILE: 'File with the master key of the secrets vault.',
  IRON_CAGE_MASTER_KEY: 'The master key itself; the file is safer.',
  IRON_CAGE_URL: 'Server that commands connect to, instead of the one that uses the database.',
  IRON_CAGE_TOKEN: 'Token for that server.',
  NO_COLOR: 'Disables colored output when set.',
} as const

export function readEnvironment(variables: NodeJS.ProcessEnv = process.env): Environment {
  const settings: Setting[] = []
  for (const [name, key] of SETTINGS) {
    const value = variables[name]
    if (value || (value === '' && name === 'IRON_CAGE_BUDGET')) {
      settings.push({ key, value: name === 'IRON_CAGE_PORT' ? wholeNumber(value) : value, origin: name })
    }
  }
  return {
    settings,
    configFile: variables.IRON_CAGE_CONFIG || undefined,
    serverUrl: variables.IRON_CAGE_URL || undefined,
    serverToken: variables.IRON_CAGE_TOKEN || undefined,
    noColor: Boolean(variables.NO_COLOR),
    hasDisplay: Boolean(variables.DISPLAY || variables.WAYLAND_DISPLAY),
    readMasterKey: masterKeyReader(variables),
    variables: Object.fromEntries(
      Object.entries(variables).filter(
        (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith(MASTER_KEY),
      ),
    ),
  }
}

const MASTER_KEY = 'IRON_CAGE_MASTER_KEY'
const MASTER_KEY_FD = `${MASTER_KEY}_FD`

/** The pipe is emptied and closed at once, so that no process that is started gets it. */
function masterKeyReader(variables: NodeJS.ProcessEnv): Environment['readMasterKey'] {
  const { [MASTER_KEY]: given, [MASTER_KEY_FD]: descriptor, [`${MASTER_KEY}_FILE`]: file } = variables
  const key = descriptor ? readPipe(Number(descriptor)) : given
  delete variables[MASTER_KEY]
  delete variables[MASTER_KEY_FD]
  return () => {
    if (key) return { masterKey: key }
    if (!file) return {}
    try {
      const text = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
      return text === ''
        ? { masterKeyProblem: `${resolve(file)} is empty` }
        : { masterKey: text, masterKeyFile: resolve(file) }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const path = resolve(file)
      return { masterKeyProblem: code === 'ENOENT' ? `there is no file ${path}` : `${path} cannot be read: ${code}` }
    }
  }
}

function readPipe(descriptor: number): string {
  try {
    return readFileSync(descriptor, 'utf8').replace(/\n$/, '')
  } finally {
    closeSync(descriptor)
  }
}

/** A here-document is a pipe without a name; every other way would show the key in an argument or a file. */
const WITHOUT_KEY = `exec 9<<END
$${MASTER_KEY}
END
unset ${MASTER_KEY}
export ${MASTER_KEY_FD}=9
exec "$0" "$@"`

/**
 * Becomes `program` with these arguments, in the same process, when the master key is in the environment; returns when it
 * is not, or where a process cannot become another (Windows). Before anything is opened or started.
 */
export function hideMasterKey(
  program: string,
  args: readonly string[],
  variables: NodeJS.ProcessEnv = process.env,
): void {
  const shell = '/bin/sh'
  if (!variables[MASTER_KEY] || process.execve === undefined || !existsSync(shell)) return
  // Nobody is left to hear that execve is experimental.
  process.removeAllListeners('warning')
  process.execve(shell, ['sh', '-c', WITHOUT_KEY, program, ...args], variables as Record<string, string>)
}

/** "8080" → 8080; anything but digits stays text, which is refused by name where a number is expected. */
export const wholeNumber = (text: string): number | string => (/^\d{1,15}$/.test(text) ? Number(text) : text)
