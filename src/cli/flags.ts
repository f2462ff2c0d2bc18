/** The flags that override settings of the configuration, the commands that have them, and how a command loads it. */
import { Command } from '@commander-js/extra-typings'
import * as z from 'zod'
import { AgentFolders } from '../config/agent-folders.ts'
import { type LoadedConfig, loadConfig, type Setting } from '../config/config.ts'
import { wholeNumber } from '../config/env.ts'
import type { Key } from '../config/problems.ts'
import { configSchema } from '../config/schema.ts'
import { parseTags } from '../config/tags.ts'
import type { Terminal } from './terminal.ts'

export interface ConfigFlags {
  config?: string
}

export interface ServerFlags extends ConfigFlags {
  host?: string
  port?: string
  allowRemote?: boolean
  db?: string
  verbose?: boolean
  logFormat?: string
}

export interface AgentFlags extends ServerFlags {
  budget?: string
  safetyMode?: string
  env?: string
  name?: string
  tag?: string
  python?: string
  providerKeys?: string
  sandbox?: string
  restart?: boolean
}

// Every value is text here and is checked with the configuration, so that a flag, a variable and a file fail alike.

export const commandWithConfig = (name: string) =>
  new Command(name).option(
    '--config <file>',
    'Configuration file (default: iron-cage.yaml or .toml in this folder or beside the script)',
  )

/** For commands that talk to a server or use its database. */
export const commandWithDatabase = (name: string) =>
  commandWithConfig(name).option('--db <file>', 'Database file of the server (default: ./iron_state.db)')

/** For commands that run a server. */
export const commandWithServer = (name: string) =>
  commandWithDatabase(name)
    .option('--host <address>', 'Address to listen on (default: 127.0.0.1)')
    .option('--port <port>', 'Port to listen on (default: 8080)')
    .option('--allow-remote', 'Allow --host to be an address that other machines can reach')
    .option('--verbose', 'Show and log details as well')
    .option('--log-format <format>', 'How events are printed: text or json (default: text)')

/** For commands that run an agent. */
export const commandWithAgent = (name: string) =>
  commandWithServer(name)
    .option('--budget <usd>', "Hard limit in US dollars: 50, 50.00 or '$50' (default: 100)")
    .option('--safety-mode <mode>', 'What happens to personal data: redact, block or warn (default: redact)')
    .option('--env <name>', 'development, staging or production (default: development)')
    .option('--name <name>', "The agent's name (default: the script's)")
    .option(...TAG_FLAG)
    .option('--python <path>', 'Python interpreter')
    .option('--provider-keys <how>', 'inject or shield (default: inject)')
    .option('--sandbox <level>', 'Walls around the agent: off, observe, standard, strict or auto (default: auto)')
    .option('--restart', 'Restart the agent after a crash (default)')
    .option('--no-restart', 'Do not restart the agent after a crash')

/** The flag of `parseTags` and its description. */
export const TAG_FLAG = [
  '--tag <name=value>',
  'Group its cost in reports: customer=acme, or several: customer=acme,project=x',
] as const

/** Reads the value of a flag as a number; NaN when it is none. */
export const decimal = (text: string): number => (text.trim() === '' ? Number.NaN : Number(text))

const SETTINGS: readonly [flag: keyof AgentFlags, key: Key, origin: string][] = [
  ['host', ['server', 'host'], '--host'],
  ['port', ['server', 'port'], '--port'],
  ['allowRemote', ['server', 'allow_remote'], '--allow-remote'],
  ['db', ['db', 'path'], '--db'],
  ['verbose', ['log', 'level'], '--verbose'],
  ['logFormat', ['log', 'format'], '--log-format'],
  ['budget', ['budget', 'limit_usd'], '--budget'],
  ['safetyMode', ['safety', 'mode'], '--safety-mode'],
  ['env', ['agent', 'environment'], '--env'],
  ['name', ['agent', 'name'], '--name'],
  ['tag', ['agent', 'tags'], '--tag'],
  ['python', ['agent', 'python'], '--python'],
  ['providerKeys', ['agent', 'provider_keys'], '--provider-keys'],
  ['sandbox', ['agent', 'sandbox', 'level'], '--sandbox'],
  ['restart', ['agent', 'restart', 'enabled'], '--restart'],
]

/** `args`: the agent's own arguments. (Default: those of the configuration.) Throws what `loadConfig` throws, and `config_untrusted`. */
export function loadFlags(
  flags: AgentFlags,
  { env, cwd }: Pick<Terminal, 'env' | 'cwd'>,
  { scriptDir, args }: { scriptDir?: string; args?: readonly string[] | undefined } = {},
): LoadedConfig {
  const settings: Setting[] = []
  for (const [flag, key, origin] of SETTINGS) {
    const value = flags[flag]
    if (value === undefined) continue
    settings.push({ key, origin: value === false ? `--no-${flag}` : origin, value: settingValue(flag, value) })
  }
  if (args) settings.push({ key: ['agent', 'args'], value: [...args], origin: 'the command line' })
  const loaded = loadConfig({ flags: settings, configFile: flags.config, env, cwd, scriptDir })
  if (loaded.file !== null) new AgentFolders(env.variables.HOME).requireUntouched(loaded.file)
  return loaded
}

/** The values that a flag can have; none if it is free text. `flag`: such as "safetyMode". */
export function valuesOf(flag: string): readonly string[] {
  const key = SETTINGS.find(([name]) => name === flag)?.[1] ?? []
  let schema: unknown = configSchema
  for (const part of key) schema = (unwrapped(schema) as z.ZodObject).shape[part]
  const setting = unwrapped(schema)
  return setting instanceof z.ZodEnum ? (setting.options as string[]) : []
}

/** A setting's schema without its default. */
function unwrapped(schema: unknown): unknown {
  return schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional
    ? unwrapped(schema.unwrap())
    : schema
}

function settingValue(flag: keyof AgentFlags, value: string | boolean): unknown {
  if (flag === 'tag') return parseTags(String(value))
  if (flag === 'verbose') return 'debug'
  if (flag === 'port') return wholeNumber(String(value))
  return value
}
