/** The flags that are settings of the configuration, and how a command loads it. */
import type { Argv } from 'yargs'
import { type LoadedConfig, loadConfig, type Setting } from '../config/config.ts'
import { wholeNumber } from '../config/env.ts'
import type { Key } from '../config/problems.ts'
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
  python?: string
  providerKeys?: string
  sandbox?: string
  restart?: boolean
}

/** Values are read as text and checked with the configuration, so that a flag, a variable and a file fail alike. */
const text = (describe: string) => ({ type: 'string', requiresArg: true, describe }) as const

export const withConfigFlags = (yargs: Argv) =>
  yargs.option('config', text('Configuration file (default: iron-cage.yaml or .toml here or beside the script)'))

/** For commands that need to know which server or database is meant. */
export const withDatabaseFlags = (yargs: Argv) =>
  withConfigFlags(yargs).option('db', text('Database file of the server (default: ./iron_state.db)'))

export const withServerFlags = (yargs: Argv) =>
  withDatabaseFlags(yargs)
    .option('host', text('Address to listen on (default: 127.0.0.1)'))
    .option('port', text('Port to listen on (default: 8080)'))
    .option('allow-remote', { type: 'boolean', describe: 'Let --host be an address that other machines reach' })
    .option('verbose', { type: 'boolean', describe: 'Show and log details as well' })
    .option('log-format', text('How events are printed: text or json (default: text)'))

export const withAgentFlags = (yargs: Argv) =>
  withServerFlags(yargs)
    .option('budget', text("Hard limit in US dollars: 50, 50.00 or '$50' (default: 100)"))
    .option('safety-mode', text('What happens to personal data: redact, block or warn (default: redact)'))
    .option('env', text('development, staging or production (default: development)'))
    .option('name', text("The agent's name (default: the script's)"))
    .option('python', text('Python interpreter'))
    .option('provider-keys', text('inject or shield (default: inject)'))
    .option('sandbox', text('Walls around the agent: off, observe, standard, strict or auto (default: auto)'))
    .option('restart', { type: 'boolean', describe: 'Start the agent again after a crash; --no-restart does not' })

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
  ['python', ['agent', 'python'], '--python'],
  ['providerKeys', ['agent', 'provider_keys'], '--provider-keys'],
  ['sandbox', ['agent', 'sandbox', 'level'], '--sandbox'],
  ['restart', ['agent', 'restart', 'enabled'], '--no-restart'],
]

/** Throws what `loadConfig` throws. `args`: what follows the script. */
export function loadFlags(
  flags: AgentFlags,
  { env, cwd }: Pick<Terminal, 'env' | 'cwd'>,
  { scriptDir, args = [] }: { scriptDir?: string; args?: readonly string[] } = {},
): LoadedConfig {
  const settings: Setting[] = []
  for (const [flag, key, origin] of SETTINGS) {
    const value = flags[flag]
    // Left out, or --no-verbose, which changes nothing.
    if (value !== undefined && !(flag === 'verbose' && value === false)) {
      settings.push({ key, origin, value: settingValue(flag, value) })
    }
  }
  if (args.length > 0) settings.push({ key: ['agent', 'args'], value: [...args], origin: 'the command line' })
  return loadConfig({ flags: settings, configFile: flags.config, env, cwd, scriptDir })
}

function settingValue(flag: keyof AgentFlags, value: string | boolean): unknown {
  if (flag === 'verbose') return 'debug'
  if (flag === 'port') return wholeNumber(String(value))
  return value
}
