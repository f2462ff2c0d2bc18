/**
 * Which settings of providers and services changed since the last start. A circuit that opened under the old settings
 * does not apply to the new ones.
 */
import { hash } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import type { MetaTable } from '../db/tables/meta.ts'

const KEY = 'settings.of-circuits'

/** Hashes, because an address can hold a password. By provider or service, then by key. */
type Hashes = Readonly<Record<string, Readonly<Record<string, string>>>>

/** Returns the changed keys by provider or service, such as "providers.openai.base_url", and stores the present ones. */
export function changedSettings(
  meta: MetaTable,
  config: Pick<Config, 'providers' | 'services'>,
): ReadonlyMap<string, readonly string[]> {
  const stored = meta.get(KEY)
  const now = { ...hashesOf('providers', config.providers), ...hashesOf('services', config.services) }
  const json = JSON.stringify(now)
  if (json === stored) return new Map()
  meta.put(KEY, json)
  const before = JSON.parse(stored ?? '{}') as Hashes
  const changes = Object.keys(now)
    .filter((name) => Object.hasOwn(before, name))
    .map((name) => [name, changedKeys(before[name]!, now[name]!)] as const)
  return new Map(changes.filter(([, keys]) => keys.length > 0))
}

const hashesOf = (section: string, entries: Readonly<Record<string, object>>): Hashes =>
  Object.fromEntries(
    Object.entries(entries).map(([name, settings]) => [
      name,
      Object.fromEntries(
        Object.entries(settings).map(([key, value]) => [
          `${section}.${name}.${key}`,
          hash('sha256', JSON.stringify(value) ?? '').slice(0, 16),
        ]),
      ),
    ]),
  )

const changedKeys = (before: Hashes[string], now: Hashes[string]): string[] =>
  [...new Set([...Object.keys(before), ...Object.keys(now)])].filter((key) => before[key] !== now[key])
