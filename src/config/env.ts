/**
 * The only reader of the process's environment. It names every variable and hands out values; what a setting may hold
 * is decided where settings of every origin are (`config.ts`).
 *
 * An empty variable counts as not set, but for IRON_CAGE_BUDGET: an empty budget is a mistake of quoting, and ignoring
 * it would mean a limit nobody asked for.
 */
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
  /** Everything, for a process that is started. */
  variables: Readonly<Record<string, string>>
}

const SETTINGS = [
  ['IRON_CAGE_PORT', ['server', 'port']],
  ['IRON_CAGE_HOST', ['server', 'host']],
  ['IRON_CAGE_DB', ['db', 'path']],
  ['IRON_CAGE_BUDGET', ['budget', 'limit_usd']],
  ['IRON_CAGE_SAFETY_MODE', ['safety', 'mode']],
  ['IRON_CAGE_ENV', ['agent', 'environment']],
  ['IRON_CAGE_LOG_LEVEL', ['log', 'level']],
] as const

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
    variables: Object.fromEntries(
      Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
  }
}

/** "8080" → 8080; anything but digits stays text, which is refused by name where a number is expected. */
export const wholeNumber = (text: string): number | string => (/^\d{1,15}$/.test(text) ? Number(text) : text)
