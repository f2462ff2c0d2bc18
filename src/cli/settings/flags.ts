/** The flags that override settings of the configuration, and the commands that have them; `load-flags.ts` reads them. */
import type { Argv } from 'yargs'

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
  egress?: string
  restart?: boolean
}

// Every value is text here and is checked with the configuration, so that a flag, a variable and a file fail alike.

export const withConfig = <Flags>(yargs: Argv<Flags>) =>
  yargs.option('config', {
    type: 'string',
    requiresArg: true,
    describe: 'Configuration file (default: iron-cage.yaml or .toml in this folder or beside the script)',
  })

/** For commands that talk to a server or use its database. */
export const withDatabase = <Flags>(yargs: Argv<Flags>) =>
  withConfig(yargs).option('db', {
    type: 'string',
    requiresArg: true,
    describe: 'Database file of the server (default: ./iron_state.db)',
  })

/** For commands that run a server. */
export const withServer = <Flags>(yargs: Argv<Flags>) =>
  withDatabase(yargs)
    .option('host', { type: 'string', requiresArg: true, describe: 'Address to listen on (default: 127.0.0.1)' })
    .option('port', { type: 'string', requiresArg: true, describe: 'Port to listen on (default: 8080)' })
    .option('allow-remote', {
      type: 'boolean',
      describe: 'Allow --host to be an address that other machines can reach',
    })
    .option('verbose', { type: 'boolean', describe: 'Show and log details as well' })
    .option('log-format', {
      type: 'string',
      requiresArg: true,
      describe: 'How events are printed: text or json (default: text)',
    })

/** For commands that run an agent. */
export const withAgent = <Flags>(yargs: Argv<Flags>) =>
  withServer(yargs)
    .option('budget', {
      type: 'string',
      requiresArg: true,
      describe: "Hard limit in US dollars: 50, 50.00 or '$50' (default: 100)",
    })
    .option('safety-mode', {
      type: 'string',
      requiresArg: true,
      describe: 'What happens to personal data: redact, block or warn (default: redact)',
    })
    .option('env', {
      type: 'string',
      requiresArg: true,
      describe: 'development, staging or production (default: development)',
    })
    .option('name', { type: 'string', requiresArg: true, describe: "The agent's name (default: the script's)" })
    .option('tag', TAG_FLAG)
    .option('python', { type: 'string', requiresArg: true, describe: 'Python interpreter' })
    .option('provider-keys', { type: 'string', requiresArg: true, describe: 'inject or shield (default: inject)' })
    .option('sandbox', {
      type: 'string',
      requiresArg: true,
      describe: 'Walls around the agent: off, observe, standard, strict or auto (default: auto)',
    })
    .option('egress', {
      type: 'string',
      requiresArg: true,
      describe:
        'Hosts that the agent may reach besides providers and services: observe, or a list such as api.github.com,*.wikipedia.org',
    })
    .option('restart', {
      type: 'boolean',
      describe: 'Restart the agent after a crash (default); --no-restart does not',
    })

/** The flag of `parseTags`. */
export const TAG_FLAG = {
  type: 'string',
  requiresArg: true,
  describe: 'Group its cost in reports: customer=acme, or several: customer=acme,project=x',
} as const

/** Reads the value of a flag as a number; NaN when it is none. */
export const decimal = (text: string): number => (text.trim() === '' ? Number.NaN : Number(text))
