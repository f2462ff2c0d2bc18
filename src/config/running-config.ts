/** The configuration of the running server: that of its start, with `safety` as it was last loaded. */
import { changedKeys, type LoadedConfig, type ShownSetting, shownLeaves } from './config.ts'
import type { Config } from './schema.ts'

/**
 * `next`: the configuration's present value, from the next start on; null where that is the same. A value is null where
 * there is none.
 */
export type RunningSetting = ShownSetting & { next: Omit<ShownSetting, 'key'> | null }

export class RunningConfig {
  #loaded: LoadedConfig
  /** As it was last loaded. */
  #next: LoadedConfig

  /** `loaded`: that of the start. */
  constructor(loaded: LoadedConfig) {
    this.#loaded = loaded
    this.#next = loaded
  }

  get config(): Config {
    return this.#loaded.config
  }

  /** The file of the start; null without one. */
  get file(): string | null {
    return this.#loaded.file
  }

  /**
   * Takes over what applies without a restart. Returns the keys with other values than those that were in force, and which
   * of them need a restart.
   */
  take(next: LoadedConfig): { changed: string[]; later: string[] } {
    const { config, origins, file } = this.#loaded
    const changed = changedKeys(config, next.config)
    const later = changed.filter((key) => !key.startsWith('safety.'))
    // A value that stays may come from elsewhere now: from a policy, or from another line of the file.
    const kept = later.map((key) => [key, origins[key] ?? 'default'])
    this.#next = next
    this.#loaded = {
      config: { ...config, safety: next.config.safety },
      origins: { ...next.origins, ...Object.fromEntries(kept) },
      file,
    }
    return { changed, later }
  }

  /** For display: secrets are masked. In the order of the schema, and last those that only the next start sets. */
  shown(): RunningSetting[] {
    const inForce = shownLeaves(this.#loaded)
    const next = new Map(shownLeaves(this.#next).map(({ key, ...setting }) => [key, setting]))
    const changed = new Set(changedKeys(this.#loaded.config, this.#next.config))
    const isNew = (key: string) => !inForce.some((setting) => setting.key === key)
    const unset = [...changed].filter(isNew).map((key) => ({ key, ...UNSET }))
    return [...inForce, ...unset].map((setting) => ({
      ...setting,
      next: changed.has(setting.key) ? (next.get(setting.key) ?? UNSET) : null,
    }))
  }
}

const UNSET = { value: null, origin: 'default' } as const
