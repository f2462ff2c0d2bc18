/**
 * The configuration: flags > environment > file > addresses in clients' own variables > defaults, checked against `schema.ts`, with the origin of each value.
 *
 * The rules are:
 * - Parts receive values; only `env.ts` reads the environment.
 * - All problems are reported at once, each with its line, its key, and the expected and actual value.
 * - An existing file is used or refused, never skipped.
 */
import { existsSync, lstatSync, realpathSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import type * as z from 'zod'
import { parseTypedAmount } from './amount.ts'
import { type FileReading, placed, readConfigFile } from './file.ts'
import { InvalidConfigError, type Key, keyText, maskSecret, problemsOf, valueAt } from './problems.ts'
import { type Config, configSchema } from './schema.ts'

/** A value given outside the file. */
export interface Setting {
  key: Key
  value: unknown
  /** The name that the user gave it by: "--port", "IRON_CAGE_PORT". */
  origin: string
}

export interface LoadOptions {
  /** Settings from the command line. (Default: none.) */
  flags?: readonly Setting[]
  /** `--config`. (Default: IRON_CAGE_CONFIG, else iron-cage.yaml, .yml or .toml in `cwd`, else in `scriptDir`.) */
  configFile?: string
  /** Result of `env.ts`. */
  env: { settings: readonly Setting[]; addresses?: readonly Setting[]; configFile?: string }
  cwd: string
  /** The folder of the agent's script. (Default: none.) */
  scriptDir?: string
}

export interface LoadedConfig {
  config: Config
  /** Origin of each value by its key: "--budget", "IRON_CAGE_BUDGET", "iron-cage.yaml:12" or "default". */
  origins: Readonly<Record<string, string>>
  /** The file that was read, or null. */
  file: string | null
}

/** Names of configuration files, in lookup order; the first is used for new ones. */
export const CONFIG_FILES = ['iron-cage.yaml', 'iron-cage.yml', 'iron-cage.toml'] as const

/** Throws InvalidConfigError with every problem, CageError `invalid_amount` for a mistyped budget. */
export function loadConfig({ flags = [], configFile, env, cwd, scriptDir }: LoadOptions): LoadedConfig {
  const path = findFile(configFile ?? env.configFile, cwd, scriptDir)
  const name = path && displayName(path, cwd)
  const file = path && name ? readConfigFile(path, name) : EMPTY_FILE
  if (!file.ok) throw new InvalidConfigError(file.problems)

  const addresses = env.addresses?.filter(({ key }) => valueAt(file.value, key) === undefined) ?? []
  const settings = [...addresses, ...env.settings, ...flags].map(withTypedAmount)
  const value = overlay(file.value ?? {}, settings)
  const originOf = (key: Key, place: (name: string, key: Key) => string): string =>
    settingOf(settings, key)?.origin ?? (name ? place(name, key) : 'default')
  const result = configSchema.safeParse(value)
  if (!result.success) {
    const placeOf = (key: Key) => originOf(key, (fileName, at) => placed(fileName, nearestPlace(file, at)))
    throw new InvalidConfigError(problemsOf(result.error.issues, value, placeOf))
  }

  // Files next to the database must be next to the file itself, not to a link to it.
  result.data.db.path = linkTarget(result.data.db.path)
  const list = result.data.price_list
  if (list.file !== undefined) list.file = resolve(path ? dirname(path) : cwd, list.file)

  const origins: Record<string, string> = {}
  for (const { key } of leaves(result.data)) {
    origins[keyText(key)] = originOf(key, (fileName, at) =>
      valueAt(file.value, at) === undefined ? 'default' : `${fileName}:${nearestPlace(file, at).line}`,
    )
  }
  return { config: result.data, origins, file: path ?? null }
}

/** For a program whose file has other sections. Throws InvalidConfigError with every problem. */
export function loadFile<Value>(path: string, cwd: string, schema: z.ZodType<Value>): Value {
  const name = displayName(resolve(cwd, path), cwd)
  const file = readConfigFile(resolve(cwd, path), name)
  const whose = { what: name, hint: 'correct the file; docs/production.md lists what it may set' }
  if (!file.ok) throw new InvalidConfigError(file.problems, whose)
  const result = schema.safeParse(file.value ?? {})
  if (result.success) return result.data
  const placeOf = (key: Key) => placed(name, nearestPlace(file, key))
  throw new InvalidConfigError(problemsOf(result.error.issues, file.value, placeOf), whose)
}

/** The last setting of a key or of a section that it is in. */
const settingOf = (settings: readonly Setting[], key: Key): Setting | undefined =>
  settings.findLast((candidate) => candidate.key.every((segment, depth) => segment === key[depth]))

function linkTarget(path: string): string {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()
  // A broken link is reported when it is opened.
  return isLink && existsSync(path) ? realpathSync(path) : path
}

/** Yields every value of a configuration with its key, in schema order. A list of plain values is one value. */
export function* leaves(value: unknown, key: Key = []): Generator<{ key: Key; value: unknown }> {
  if (Array.isArray(value) && value.some((entry) => typeof entry === 'object')) {
    for (const [index, entry] of value.entries()) yield* leaves(entry, [...key, index])
  } else if (isRecord(value) && Object.keys(value).length > 0 && key.at(-1) !== 'placeholder') {
    for (const [name, below] of Object.entries(value)) yield* leaves(below, [...key, name])
  } else if (value !== undefined) {
    yield { key, value }
  }
}

/** Returns the keys whose values differ, in the order of the schema. */
export function changedKeys(before: Config, after: Config): string[] {
  const texts = (config: Config) =>
    new Map([...leaves(config)].map(({ key, value }) => [keyText(key), JSON.stringify(value)]))
  const [old, now] = [texts(before), texts(after)]
  return [...new Set([...now.keys(), ...old.keys()])].filter((key) => old.get(key) !== now.get(key))
}

export interface ShownSetting {
  /** "safety.mode" */
  key: string
  value: unknown
  origin: string
}

/** Returns the leaves for display, with secrets masked. */
export function shownLeaves({ config, origins }: LoadedConfig): ShownSetting[] {
  return [...leaves(config)].map(({ key, value }) => ({
    key: keyText(key),
    value: maskSecret(key, value),
    origin: origins[keyText(key)] ?? 'default',
  }))
}

const EMPTY_FILE: FileReading = { ok: true, value: {}, placeOf: () => undefined }

function withTypedAmount(setting: Setting): Setting {
  return keyText(setting.key) === 'budget.limit_usd'
    ? { ...setting, value: parseTypedAmount(String(setting.value), setting.origin) }
    : setting
}

function findFile(named: string | undefined, cwd: string, scriptDir: string | undefined): string | undefined {
  if (named !== undefined) return isAbsolute(named) ? named : join(cwd, named)
  for (const folder of [cwd, scriptDir]) {
    if (folder === undefined) continue
    const [first, second] = CONFIG_FILES.map((name) => join(folder, name)).filter((path) =>
      statSync(path, { throwIfNoEntry: false }),
    )
    if (first && second) {
      const what = `${displayName(second, cwd)} also exists; keep one of them, or name one with --config`
      throw new InvalidConfigError([{ place: displayName(first, cwd), key: '', what }])
    }
    if (first) return first
  }
  return undefined
}

/** Returns the path as a user would type it: relative below the working directory, absolute elsewhere. */
function displayName(path: string, cwd: string): string {
  const short = relative(cwd, path)
  return short.startsWith('..') ? path : short
}

/** Overlays the settings on the file's data. A setting does not repair a section of the wrong shape. */
const overlay = (document: unknown, settings: readonly Setting[]): unknown =>
  settings.reduce((result, { key, value }) => put(result, key, value), document)

function put(at: unknown, [head, ...rest]: Key, value: unknown): unknown {
  if (head === undefined) return value
  return isRecord(at) ? { ...at, [head]: put(at[head] ?? (rest.length > 0 ? {} : undefined), rest, value) } : at
}

function nearestPlace(file: FileReading & { ok: true }, key: Key): { line: number; column: number } {
  for (let depth = key.length; depth > 0; depth--) {
    const place = file.placeOf(key.slice(0, depth))
    if (place) return place
  }
  return { line: 1, column: 1 }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
