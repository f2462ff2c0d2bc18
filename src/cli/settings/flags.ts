/** The flags that override settings of the configuration, and the commands that have them; `load-flags.ts` reads them. */
import { Command } from '@commander-js/extra-typings'

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
