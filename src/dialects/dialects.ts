/**
 * The list of dialects. To add one, add a folder and a line here: configuration, gateway, agents' environment, doctor
 * and start block take what they need from this list.
 */
import { anthropic } from './anthropic/dialect.ts'
import type { Dialect } from './dialect.ts'
import { openai } from './openai/dialect.ts'

/** The default comes first. */
export const DIALECTS = { openai, anthropic }

export type DialectName = keyof typeof DIALECTS

export const DIALECT_NAMES = Object.keys(DIALECTS) as DialectName[]

/** The dialect of a provider without a configured one: that of its own name, else the one most servers speak. */
export const dialectNameOf = (provider: string, configured: DialectName | undefined): DialectName =>
  configured ?? (isDialect(provider) ? provider : DEFAULT_DIALECT)

export const dialectOf = (provider: string, configured: DialectName | undefined): Dialect =>
  DIALECTS[dialectNameOf(provider, configured)]

/** The dialect of most other servers, and of errors without a provider. */
export const DEFAULT_DIALECT: DialectName = 'openai'

/** Returns the dialect of a built-in provider, by its name. */
export const ownDialect = (provider: string): Dialect | undefined =>
  isDialect(provider) ? DIALECTS[provider] : undefined

const isDialect = (name: string): name is DialectName => Object.hasOwn(DIALECTS, name)
