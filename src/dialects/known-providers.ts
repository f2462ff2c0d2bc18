/**
 * The providers that are known by name: a configuration that names one needs no address and no dialect. To add one, add
 * an entry here; configuration, gateway, agents' environment, doctor and start block read it.
 */
import type { Dialect } from './dialect.ts'
import { DEFAULT_DIALECT, DIALECTS, type DialectName } from './dialects.ts'

export interface KnownProvider {
  /** For display, e.g. "OpenAI". */
  label: string
  dialect: DialectName
  /** The vendor's own base URL, or where a local server listens; undefined if every customer has another one. */
  baseUrl?: string
  /** Hosts of the vendor's own servers, which are known to keep their answers within their limits. */
  vendorHosts?: RegExp
  /** Environment variables in which clients look for a key; the first also names the secret that holds ours. */
  keyVariables: readonly string[]
  /** Environment variables that point clients to `address`, the provider's URL at the gateway. */
  agentVariables(address: string): Record<string, string>
  /** Its name in OpenTelemetry's conventions for GenAI. (Default: the same.) */
  telemetryName?: string
  /** Returns the base URL that a user means with a value of such a variable. (Default: the value.) */
  baseUrlIn?(value: string, variable: string): string
  /** Its name in the public price list. (Default: the same.) */
  pricedAs?: string
  /** A server on one's own machine: its answers cost nothing. (Default: false.) */
  isLocal?: true
  /** Models that such a server has answered elsewhere, at a price. (Default: none.) */
  remoteModels?: RegExp
}

/** Providers of every configuration, whether it names them or not. The default comes first. */
export const BUILT_IN = ['openai', 'anthropic', 'google'] as const

/**
 * As Ollama reads it: "0.0.0.0", "gpu:8000" and "https://gpu" are addresses, and a server that listens everywhere is
 * here.
 */
function ollamaAddress(value: string): string {
  const [, scheme = 'http:', rest = ''] = /^(https?:)?(?:\/\/)?(.*)$/.exec(value.trim())!
  const [, host, port, path = ''] = /^(\[[^\]]*\]|[^:/]*)(?::(\d+))?(\/.*)?$/.exec(rest) ?? []
  if (host === undefined) return value
  const named = ['', '0.0.0.0', '[::]'].includes(host) ? '127.0.0.1' : host
  const given = port ?? (scheme === 'https:' ? '443' : rest === value.trim() ? '11434' : '80')
  return `${scheme}//${named}:${given}${path.replace(/\/$/, '')}`
}

export const KNOWN_PROVIDERS = {
  openai: {
    label: 'OpenAI',
    dialect: 'openai',
    baseUrl: 'https://api.openai.com/v1',
    vendorHosts: /^api\.openai\.com$/,
    keyVariables: ['OPENAI_API_KEY'],
    agentVariables: (address) => ({ OPENAI_BASE_URL: `${address}/v1`, OPENAI_API_BASE: `${address}/v1` }),
  },
  anthropic: {
    label: 'Anthropic',
    dialect: 'anthropic',
    baseUrl: 'https://api.anthropic.com',
    vendorHosts: /^api\.anthropic\.com$/,
    keyVariables: ['ANTHROPIC_API_KEY'],
    agentVariables: (address) => ({
      ANTHROPIC_BASE_URL: address,
      ANTHROPIC_API_URL: address,
      ANTHROPIC_API_BASE: address,
    }),
  },
  google: {
    label: 'Google',
    telemetryName: 'gcp.gemini',
    dialect: 'google',
    baseUrl: 'https://generativelanguage.googleapis.com',
    vendorHosts: /^generativelanguage\.googleapis\.com$/,
    keyVariables: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'],
    agentVariables: (address) => ({ GOOGLE_GEMINI_BASE_URL: address }),
  },
  azure: {
    label: 'Azure OpenAI',
    telemetryName: 'azure.ai.openai',
    dialect: 'azure',
    vendorHosts: /\.(openai|cognitiveservices|services\.ai)\.azure\.(com|us|cn)$/,
    keyVariables: ['AZURE_OPENAI_API_KEY', 'AZURE_API_KEY'],
    agentVariables: (address) => ({ AZURE_OPENAI_ENDPOINT: address, AZURE_API_BASE: address }),
  },
  bedrock: {
    label: 'Amazon Bedrock',
    telemetryName: 'aws.bedrock',
    dialect: 'bedrock',
    vendorHosts: /\.amazonaws\.com(\.cn)?$/,
    keyVariables: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'],
    agentVariables: (address) => ({
      AWS_ENDPOINT_URL_BEDROCK_RUNTIME: address,
      AWS_BEDROCK_RUNTIME_ENDPOINT: address,
      ANTHROPIC_BEDROCK_BASE_URL: address,
    }),
    pricedAs: 'aws',
  },
  vertex: {
    label: 'Vertex AI',
    telemetryName: 'gcp.vertex_ai',
    dialect: 'vertex',
    vendorHosts: /(^|-)aiplatform\.googleapis\.com$/,
    keyVariables: ['GOOGLE_APPLICATION_CREDENTIALS_JSON'],
    agentVariables: (address) => ({ ANTHROPIC_VERTEX_BASE_URL: `${address}/v1`, GOOGLE_VERTEX_BASE_URL: address }),
    baseUrlIn: (value) => value.replace(/\/v1\/?$/, ''),
    pricedAs: 'google',
  },
  cohere: {
    label: 'Cohere',
    dialect: 'cohere',
    baseUrl: 'https://api.cohere.com',
    vendorHosts: /^api\.cohere\.(com|ai)$/,
    keyVariables: ['CO_API_KEY', 'COHERE_API_KEY'],
    agentVariables: (address) => ({ CO_API_URL: address, COHERE_API_BASE: address }),
  },
  mistral: {
    label: 'Mistral',
    telemetryName: 'mistral_ai',
    dialect: 'openai',
    baseUrl: 'https://api.mistral.ai/v1',
    keyVariables: ['MISTRAL_API_KEY'],
    agentVariables: (address) => ({ MISTRAL_API_BASE: `${address}/v1` }),
  },
  groq: {
    label: 'Groq',
    dialect: 'openai',
    baseUrl: 'https://api.groq.com/openai/v1',
    keyVariables: ['GROQ_API_KEY'],
    agentVariables: (address) => ({ GROQ_BASE_URL: address, GROQ_API_BASE: `${address}/v1` }),
    baseUrlIn: (value, variable) => (variable === 'GROQ_BASE_URL' ? `${value.replace(/\/$/, '')}/openai/v1` : value),
  },
  together: {
    label: 'Together',
    dialect: 'openai',
    baseUrl: 'https://api.together.xyz/v1',
    keyVariables: ['TOGETHER_API_KEY', 'TOGETHERAI_API_KEY'],
    agentVariables: (address) => ({ TOGETHER_BASE_URL: `${address}/v1`, TOGETHER_AI_API_BASE: `${address}/v1` }),
  },
  deepseek: {
    label: 'DeepSeek',
    dialect: 'openai',
    baseUrl: 'https://api.deepseek.com/v1',
    keyVariables: ['DEEPSEEK_API_KEY'],
    agentVariables: (address) => ({ DEEPSEEK_API_BASE: `${address}/v1` }),
  },
  openrouter: {
    label: 'OpenRouter',
    dialect: 'openai',
    baseUrl: 'https://openrouter.ai/api/v1',
    keyVariables: ['OPENROUTER_API_KEY'],
    agentVariables: (address) => ({ OPENROUTER_API_BASE: `${address}/v1` }),
  },
  xai: {
    label: 'xAI',
    telemetryName: 'x_ai',
    dialect: 'openai',
    baseUrl: 'https://api.x.ai/v1',
    keyVariables: ['XAI_API_KEY'],
    agentVariables: (address) => ({ XAI_API_BASE: `${address}/v1` }),
    pricedAs: 'x-ai',
  },
  fireworks: {
    label: 'Fireworks',
    dialect: 'openai',
    baseUrl: 'https://api.fireworks.ai/inference/v1',
    keyVariables: ['FIREWORKS_API_KEY', 'FIREWORKS_AI_API_KEY'],
    agentVariables: (address) => ({ FIREWORKS_API_BASE: `${address}/v1` }),
  },
  ollama: {
    label: 'Ollama',
    dialect: 'ollama',
    baseUrl: 'http://localhost:11434',
    vendorHosts: /^ollama\.com$/,
    keyVariables: ['OLLAMA_API_KEY'],
    agentVariables: (address) => ({ OLLAMA_HOST: address, OLLAMA_API_BASE: address }),
    baseUrlIn: ollamaAddress,
    isLocal: true,
    remoteModels: /[:-]cloud$/i,
  },
  vllm: {
    label: 'vLLM',
    dialect: 'openai',
    baseUrl: 'http://localhost:8000/v1',
    keyVariables: [],
    agentVariables: (address) => ({ HOSTED_VLLM_API_BASE: `${address}/v1` }),
    isLocal: true,
  },
  llamacpp: {
    label: 'llama.cpp',
    dialect: 'openai',
    baseUrl: 'http://localhost:8080/v1',
    keyVariables: [],
    agentVariables: () => ({}),
    isLocal: true,
  },
  lmstudio: {
    label: 'LM Studio',
    dialect: 'openai',
    baseUrl: 'http://localhost:1234/v1',
    keyVariables: [],
    agentVariables: (address) => ({ LM_STUDIO_API_BASE: `${address}/v1` }),
    isLocal: true,
  },
} as const satisfies Readonly<Record<string, KnownProvider>>

export type KnownProviderName = keyof typeof KNOWN_PROVIDERS

export const KNOWN_PROVIDER_NAMES = Object.keys(KNOWN_PROVIDERS) as KnownProviderName[]

/** Returns the known facts about a provider by its name. */
export const knownProvider = (name: string): KnownProvider | undefined =>
  Object.hasOwn(KNOWN_PROVIDERS, name) ? KNOWN_PROVIDERS[name as KnownProviderName] : undefined

/** Returns the vendor whose own server an address is; undefined for any other server. */
export function vendorAt(address: string | undefined): KnownProviderName | undefined {
  const { protocol, host } = new URL(address ?? 'none:')
  if (protocol !== 'https:') return undefined
  return KNOWN_PROVIDER_NAMES.find((name) => {
    const { baseUrl, vendorHosts }: KnownProvider = KNOWN_PROVIDERS[name]
    return vendorHosts?.test(host) ?? (baseUrl !== undefined && new URL(baseUrl).host === host)
  })
}

/** Returns who a provider is: the vendor that its address belongs to, under any name, else its name. */
export const vendorOf = (name: string, address: string | undefined): string => vendorAt(address) ?? name

/** A provider's name in OpenTelemetry. */
export const telemetryNameOf = (provider: string): string => knownProvider(provider)?.telemetryName ?? provider

/** The dialect of a provider without a configured one: its known one, else the one that most servers speak. */
export const dialectNameOf = (provider: string, configured: DialectName | undefined): DialectName =>
  configured ?? knownProvider(provider)?.dialect ?? DEFAULT_DIALECT

export const dialectOf = (provider: string, configured: DialectName | undefined): Dialect =>
  DIALECTS[dialectNameOf(provider, configured)]

export const isBuiltIn = (name: string): boolean => (BUILT_IN as readonly string[]).includes(name)

/** The variables that send the clients of these providers to the gateway, by name. `gateway`: its address. */
export const gatewayVariables = (gateway: string, providers: Iterable<string>): Record<string, string> =>
  Object.assign({}, ...[...providers].map((name) => knownProvider(name)?.agentVariables(`${gateway}/${name}`)))
