/** A case of ordinary traffic: the request or program, the answer of its provider, and the expected result. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A piece of an answer, as it is written to the connection. */
export interface Part {
  /** The data of a frame. */
  d?: unknown
  /** The event and data of a frame. */
  e?: [string, unknown]
  /** Text as it is. */
  t?: string
  /** Bytes in base64. */
  b64?: string
  /** Nothing is written for so long, in ms. */
  wait?: number
  /** It is written so many times, one every so many ms. */
  repeat?: number
  every?: number
}

export interface Reply {
  status?: number
  /** Null leaves out a header that there would be. */
  headers?: Record<string, string | null>
  json?: unknown
  text?: string
  parts?: Part[]
  encoding?: 'gzip' | 'br' | 'zstd' | 'deflate'
}

interface Case {
  id: string
  kind: string
  why: string
  /** Of successive requests; the last one repeats. */
  reply?: Reply | Reply[]
  /** How long it may take, in ms. */
  timeout?: number
  /** It takes minutes. */
  slow?: true
}

export interface CallCase extends Case {
  type?: undefined
  /** The provider. (Default: openai.) */
  via?: string
  request: {
    path: string
    method?: string
    headers?: Record<string, string>
    body?: { model?: string; messages?: unknown[] } & Record<string, unknown>
    /** The body in base64. */
    bytes?: string
    /** Characters of a system prompt before the messages. */
    pad?: number
  }
  /** How often it is sent. (Default: once.) */
  times?: number
  budget?: string
  /** Models that are known to obey their limits. */
  trust?: string[]
  expect: {
    status?: number | number[]
    text?: string
    args?: string
    /** The stream has no error and an end. */
    clean?: boolean | 'open'
    has?: string[]
    lacks?: string[]
    /** In the request that the provider gets. */
    sent?: string[]
    /** In US dollars. */
    cost?: number
    costMin?: number
    costMax?: number
    /** Share by which the cost may differ. (Default: a hundredth.) */
    within?: number
    maxGapMs?: number
    /** A refusal for want of a price is right as well. */
    orRefused?: boolean
  }
}

export interface AgentCase extends Case {
  type: 'agent'
  files: Record<string, string>
  /** The words of a command of ours, or a shell's script around it. */
  cmd?: string[]
  wrap?: string
  env?: Record<string, string>
  stdin?: string
  /** Sent when the output has a text, `wait` ms later. */
  signals?: { after: string; sig: NodeJS.Signals; wait?: number }[]
  expect: {
    exit?: number | number[]
    has?: string[]
    lacks?: string[]
    maxMs?: number
    /** No process has this in its command line. */
    gone?: string
    files?: Record<string, string | null>
  }
}

export const CASES: readonly (CallCase | AgentCase)[] = readdirSync(join(import.meta.dirname, 'cases')).flatMap(
  (name) => JSON.parse(readFileSync(join(import.meta.dirname, 'cases', name), 'utf8')) as (CallCase | AgentCase)[],
)

export const isCall = (one: CallCase | AgentCase): one is CallCase => one.type !== 'agent'
export const isAgent = (one: CallCase | AgentCase): one is AgentCase => one.type === 'agent'
