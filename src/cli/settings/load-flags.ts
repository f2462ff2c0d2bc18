/**
 * How a command loads the configuration, with the flags that override it. Commands that only list their options are
 * quicker without it.
 */
import * as z from 'zod'
import { AgentFolders } from '../../config/agent-folders.ts'
import { type LoadedConfig, loadConfig, type Setting } from '../../config/config.ts'
import { wholeNumber } from '../../config/env.ts'
import type { Key } from '../../config/problems.ts'
import { configSchema } from '../../config/schema.ts'
import { parseTags } from '../../config/tags.ts'
import { CageError } from '../../core/errors.ts'
import type { Terminal } from '../output/terminal.ts'
import type { AgentFlags } from './flags.ts'

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
  settings.push(...egressSettings(flags.egress))
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

/** Hosts of private networks stay as the file lists them. */
function egressSettings(value: string | undefined): Setting[] {
  if (value === undefined) return []
  const setting = (name: 'mode' | 'allow', content: unknown): Setting => ({
    key: ['agent', 'egress', name],
    origin: '--egress',
    value: content,
  })
  const entries = value.split(',').map((entry) => entry.trim())
  if (value === 'observe') return [setting('mode', 'observe')]
  const word = entries.find((entry) => /^(observe|enforce|off|none)$/i.test(entry))
  if (word !== undefined) {
    throw new CageError('usage', `--egress: "${word}" is no host`, {
      hint: 'give "observe" alone, or a list such as api.github.com,*.wikipedia.org',
    })
  }
  return [setting('mode', 'enforce'), setting('allow', entries)]
}

function settingValue(flag: keyof AgentFlags, value: string | boolean): unknown {
  if (flag === 'tag') return parseTags(String(value))
  if (flag === 'verbose') return 'debug'
  if (flag === 'port') return wholeNumber(String(value))
  return value
}
