/**
 * The only reader of the process's environment. It names every variable and returns values; validation happens where
 * settings of all origins come together (`config.ts`).
 *
 * An empty variable counts as unset, except IRON_CAGE_BUDGET: an empty budget is a quoting mistake, and ignoring it
 * would apply a limit that the user did not choose.
 *
 * The master key comes from a file or a variable. A process's initial environment can be read by every process of the
 * same user (`/proc/<pid>/environ`), even after the variable was removed; so `hideMasterKey` re-executes the program
 * without it and passes the key through a pipe. Child processes get none of these variables.
 */
import { closeSync, existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { KNOWN_PROVIDER_NAMES, KNOWN_PROVIDERS, type KnownProvider } from '../dialects/known-providers.ts'
import type { Setting } from './config.ts'

export interface Environment {
  /** Settings of the configuration, in the order of SETTINGS. */
  settings: Setting[]
  /** What other programs read too: addresses of providers, proxies, certificates. The file has precedence. */
  addresses: Setting[]
  /** IRON_CAGE_CONFIG: the configuration file. */
  configFile?: string
  /** IRON_CAGE_URL and IRON_CAGE_TOKEN: the server that commands use, instead of the one that uses the database. */
  serverUrl?: string
  serverToken?: string
  /** IRON_CAGE_REDIS: the Redis of a Control Panel. */
  redis?: string
  /** NO_COLOR is set to any value. */
  noColor: boolean
  /** DISPLAY or WAYLAND_DISPLAY is set: a browser can open. */
  hasDisplay: boolean
  /** The key that opens the vault, without its line ending; or why a configured one cannot be read. */
  readMasterKey(): { masterKey?: string; masterKeyProblem?: string; masterKeyFile?: string }
  /** All variables except the master key, for child processes. */
  variables: Readonly<Record<string, string>>
}

/** Variables that set a key of the configuration. */
export const SETTINGS = [
  ['IRON_CAGE_PORT', ['server', 'port']],
  ['IRON_CAGE_HOST', ['server', 'host']],
  ['IRON_CAGE_DB', ['db', 'path']],
  ['IRON_CAGE_BUDGET', ['budget', 'limit_usd']],
  ['IRON_CAGE_SERVER_BUDGET', ['budget', 'server_usd']],
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
  IRON_API_URL: 'Read when `IRON_CAGE_URL` is not set.',
  IRON_CAGE_TOKEN: 'Token for that server.',
  IRON_CAGE_REDIS: 'Redis of a Control Panel, with its password: what `--redis` names otherwise.',
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
    addresses: [...providerAddresses(variables), ...networkSettings(variables), ...otelSettings(variables)],
    configFile: variables.IRON_CAGE_CONFIG || undefined,
    serverUrl: variables.IRON_CAGE_URL || variables.IRON_API_URL || undefined,
    serverToken: variables.IRON_CAGE_TOKEN || undefined,
    redis: variables.IRON_CAGE_REDIS || undefined,
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

/**
 * Where clients of known providers would go without us: there go their calls, also those of a provider that the file does
 * not have. The variables of one provider usually agree; the first counts. An address of a gateway of ours is none of a
 * provider.
 */
function providerAddresses(variables: NodeJS.ProcessEnv): Setting[] {
  return KNOWN_PROVIDER_NAMES.flatMap((name) => {
    const { agentVariables, baseUrlIn = (value: string) => value }: KnownProvider = KNOWN_PROVIDERS[name]
    const origin = Object.keys(agentVariables('')).find((variable) => variables[variable])
    const value = origin && variables[origin]
    if (!value || OWN_GATEWAY.test(value)) return []
    return [{ key: ['providers', name, 'base_url'], value: baseUrlIn(value, origin), origin }]
  })
}

/** Proxies and certificates as other programs read them. A proxy that does not speak HTTP is not used. */
function networkSettings(variables: NodeJS.ProcessEnv): Setting[] {
  return NETWORK.flatMap(({ key, names, read }) => {
    const origin = names.find((name) => variables[name])
    const value = origin && read(variables[origin]!)
    return value ? [{ key: ['network', key], value, origin }] : []
  })
}

/** "proxy:3128" is one of http. */
function readProxy(value: string): string | undefined {
  if (!value.includes('://')) return `http://${value}`
  return /^https?:/i.test(value) ? value : undefined
}

const NETWORK: readonly { key: string; names: string[]; read: (value: string) => string | undefined }[] = [
  { key: 'https_proxy', names: ['https_proxy', 'HTTPS_PROXY'], read: readProxy },
  { key: 'http_proxy', names: ['http_proxy', 'HTTP_PROXY'], read: readProxy },
  { key: 'no_proxy', names: ['no_proxy', 'NO_PROXY'], read: (hosts) => `${hosts},localhost,127.0.0.1,::1` },
  { key: 'ca_file', names: ['SSL_CERT_FILE'], read: (path) => path },
]

/** Where other programs send their traces. A collector that takes only gRPC is not used. */
function otelSettings(variables: NodeJS.ProcessEnv): Setting[] {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: protocol } = variables
  if (!endpoint || variables.OTEL_SDK_DISABLED === 'true' || protocol?.startsWith('grpc')) return []
  const { OTEL_EXPORTER_OTLP_HEADERS: headers, OTEL_SERVICE_NAME: name } = variables
  return [
    { key: ['otel', 'endpoint'], value: endpoint, origin: 'OTEL_EXPORTER_OTLP_ENDPOINT' },
    ...(headers
      ? [{ key: ['otel', 'headers'], value: readHeaders(headers), origin: 'OTEL_EXPORTER_OTLP_HEADERS' }]
      : []),
    ...(name ? [{ key: ['otel', 'service_name'], value: name, origin: 'OTEL_SERVICE_NAME' }] : []),
  ]
}

/** "authorization=Basic%20abc,x-scope=team", as OpenTelemetry writes them. */
const readHeaders = (text: string): Record<string, string> =>
  Object.fromEntries(
    text.split(',').map((pair) => {
      const [name = '', ...value] = pair.split('=')
      return [name.trim(), unescaped(value.join('=').trim())]
    }),
  )

function unescaped(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

const OWN_GATEWAY = /^https?:\/\/[^/]+\/gateway\//

const MASTER_KEY = 'IRON_CAGE_MASTER_KEY'
const MASTER_KEY_FD = `${MASTER_KEY}_FD`

/** The pipe is drained and closed at once, so that no child process inherits it. */
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

/** A here-document is an anonymous pipe; any other way would expose the key in an argument or a file. */
const WITHOUT_KEY = `exec 9<<END
$${MASTER_KEY}
END
unset ${MASTER_KEY}
export ${MASTER_KEY_FD}=9
exec "$0" "$@"`

/**
 * Re-executes `program` with these arguments in the same process when the master key is in the environment; returns
 * when it is not, or where this is impossible (Windows). Call before anything is opened or started.
 */
export function hideMasterKey(
  program: string,
  args: readonly string[],
  variables: NodeJS.ProcessEnv = process.env,
): void {
  const shell = '/bin/sh'
  if (!variables[MASTER_KEY] || process.execve === undefined || !existsSync(shell)) return
  // Suppresses the warning that execve is experimental.
  process.removeAllListeners('warning')
  process.execve(shell, ['sh', '-c', WITHOUT_KEY, program, ...args], variables as Record<string, string>)
}

/** "8080" → 8080; other text stays text, which the schema refuses by name where a number is expected. */
export const wholeNumber = (text: string): number | string => (/^\d{1,15}$/.test(text) ? Number(text) : text)
