/**
 * The dialects there are. Adding one is a folder and a line here: configuration, gateway, agents' environment, doctor and
 * start block take what they need from this list.
 */
import { anthropic } from './anthropic/dialect.ts'
import type { Dialect } from './dialect.ts'
import { openai } from './openai/dialect.ts'

/** The default first. */
export const DIALECTS = { openai, anthropic }

export type DialectName = keyof typeof DIALECTS

export const DIALECT_NAMES = Object.keys(DIALECTS) as DialectName[]

/** What a provider speaks whose settings do not say: the dialect of its own name, else the one most servers speak. */
export const dialectNameOf = (provider: string, configured: DialectName | undefined): DialectName =>
  configured ?? (isDialect(provider) ? provider : DEFAULT_DIALECT)

export const dialectOf = (provider: string, configured: DialectName | undefined): Dialect =>
  DIALECTS[dialectNameOf(provider, configured)]

/** What almost every other server speaks as well, and what errors without a provider are written in. */
export const DEFAULT_DIALECT: DialectName = 'openai'

/** The dialect of the provider with this name, if it is one of those that are always there. */
export const ownDialect = (provider: string): Dialect | undefined =>
  isDialect(provider) ? DIALECTS[provider] : undefined

const isDialect = (name: string): name is DialectName => Object.hasOwn(DIALECTS, name)
