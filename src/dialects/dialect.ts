/**
 * A dialect is how a family of providers speaks: its address, its keys, its routes and its errors. Each route on which
 * calls are made has a format: how requests, replies, usage and streams are written there. Everything else knows only
 * these two interfaces; a dialect is a folder beside this file, and `dialects.ts` is the list of them.
 *
 * Dialects are knowledge without state: they import nothing but each other's shared parts and errors, so that
 * configuration, agents, budget and gateway can all use them.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { CageError } from '../errors.ts'
import { isObject, type Json, type JsonObject } from './json.ts'
import type { RouteRule } from './routes.ts'
import type { Fields, Leaf } from './texts.ts'

/** What a request asks for that the length of its text does not show. */
export interface Demands {
  /** The provider reads more than the request holds: stored answers, files, documents, the web. */
  isInputUnseen: boolean
  images: number
  /** How many bytes of the request are images. */
  imageBytes: number
  /** Tokens of one image at most. */
  imageTokens: number
  audioInput: boolean
  audioOutput: boolean
  imageOutput: boolean
  /** Fields of the request of which nobody here knows what they cost (`request-fields.ts`). */
  unknownFields: readonly string[]
  /** Service tiers and the like that were asked for, as `Usage.terms`. */
  terms: readonly string[]
  /** Searches that are made and paid for in any case. */
  searches: number
  /** Tools that the provider runs by itself, between which the model reads everything again; null without any. */
  serverTools: ServerTools | null
}

export interface ServerTools {
  /** How many there are that each have a limit of their own. */
  count: number
  /** The limit of each; null when the client did not say. */
  uses: number | null
}

/** A request that is nothing but its text. */
export const TEXT_ONLY: Demands = {
  isInputUnseen: false,
  images: 0,
  imageBytes: 0,
  imageTokens: 0,
  audioInput: false,
  audioOutput: false,
  imageOutput: false,
  unknownFields: [],
  terms: [],
  searches: 0,
  serverTools: null,
}

/** What one call used. `input` is everything read, `output` everything written: cached and audio tokens are within. */
export interface Usage {
  input: number
  cachedInput: number
  cacheWrite: number
  cacheWriteHour: number
  output: number
  audioInput?: number
  audioOutput?: number
  /** Images within the output; undefined where the provider does not say. */
  imageOutput?: number
  /** Beside input and output: reasoning, and what was read of the sources that are cited. */
  reasoning?: number
  citation?: number
  webSearches?: number
  previewSearches?: number
  fileSearches?: number
  /** Tokens that the provider counts in a field nobody here knows; beside the others. */
  unknownTokens?: number
  /** On which terms the call was served, where they are not the standard: "flex", "priority", "fast" … */
  terms?: readonly string[]
}

/** A format: calls, parsed and priced. `unmetered`: costs nothing, passed on. `blocked`: on no list, so it is refused. */
export type Route = Format | 'unmetered' | 'blocked'

/** What a provider says it used; undefined where it said nothing usable. */
export interface ReportedUsage {
  usage: Usage
  /** What the provider says the call costs, in nanodollars; undefined where it does not. */
  cost?: number
  /** A figure was absurd and was replaced. */
  isRepaired: boolean
  /** False while a stream still counts. */
  isFinal: boolean
}

/** Where a piece of text stands, which decides about the policy's scope. */
export type TextPlace = 'reply' | 'tool_arguments'

/** What takes personal data out of the texts of one answer. Texts are in a `place`, and the policy may not cover it. */
export interface Redactions {
  /** One whole text. `label`: the name of its field, where it may say what the text is, e.g. "phone". */
  whole(text: string, place: TextPlace, label?: string): string
  /** What holds no text: only values that are known to be secret are looked for. */
  known(text: string, place: TextPlace): string
  /** A text that was judged before and is repeated: what is in it counts once. */
  again(text: string, place: TextPlace): string
  /** One piece of the continuous text `channel`. What may still become a datum is held back. */
  push(channel: string, piece: string, place: TextPlace): string
  /** What has left of a channel's text before its first piece. */
  began(channel: string, text: string): void
  /** What is held back of a channel. Its text may go on later; what began before is not completed then. */
  end(channel: string): string
  /**
   * A whole text where others came before, of which it completes none. `isRepeated`: it was judged before and what is in
   * it counts once. (Default: false.)
   */
  next(channel: string, text: string, leaf: Leaf, isRepeated?: boolean): string
  /** Texts that clients read as one; undefined when nothing goes over a border. */
  joined(parts: readonly string[], place: TextPlace): string[] | undefined
}

export interface Sse {
  event: string | null
  data: string
}

/** One streamed answer: takes the provider's frames, gives the client's. */
export interface StreamReader {
  /** Frames for the client. Throws CageError `provider_reply_invalid` for what is no frame of this dialect. */
  read(frame: Sse): Sse[]
  /** True once the dialect's last frame was seen. */
  readonly isFinished: boolean
  /** What the provider said so far. */
  usage(): ReportedUsage | undefined
  /** Text delivered so far, in characters, for an estimate when the provider never says what it used. */
  readonly deliveredText: string
}

/** What is written into a request before it is sent. */
export interface Limits {
  stream: boolean
  /** The most tokens of one answer; null leaves the client's own, and none where it gave none. */
  clampTo: number | null
  /** The most uses of each of the provider's own tools; null leaves them as they are. */
  toolUses: number | null
  /**
   * It goes to the vendor's own models, which refuse a request with the limit in two fields. At other servers it stands in
   * every field that servers of this dialect read: some read one, some another.
   */
  isVendors: boolean
  /** The one field that this model takes the limit in, where it has refused the others. */
  onlyLimit: string | undefined
}

/** How calls of one route are written: their requests, replies and streams. */
export interface Format {
  /** Unique within its dialect. */
  readonly name: string
  /** Model, streaming and size of a parsed body. Throws CageError `bad_request`. */
  readCall(body: JsonObject): {
    model: string
    stream: boolean
    /** Most tokens of one answer; null when the client did not say. */
    maxOutputTokens: number | null
    /** How many answers are asked for. */
    answers: number
    /** The client asked for usage in the stream itself. */
    wantsUsage: boolean
    /** What it asks for beside its text. */
    demands: Demands
  }
  /** Changes the body to what is sent: usage asked for in streams, the limits written. */
  prepare(body: JsonObject, limits: Limits): JsonObject
  /** The one field that takes the limit, where a refusal speaks of that. (Default: there is but one.) */
  onlyLimitIn?(refusal: string): string | undefined
  /** All text of a request without its images, for the tokenizer. (Default: none is exact.) */
  textOf?(body: JsonObject): string
  usageOf(reply: JsonObject): ReportedUsage | undefined
  readStream(redact: Redactions, wantsUsage: boolean): StreamReader
}

export interface Dialect {
  readonly name: string
  /** For people, e.g. "OpenAI". */
  readonly label: string
  readonly defaultBaseUrl: string
  /** Environment variable in which its clients look for a key, and the name of the secret that holds ours. */
  readonly keyVariable: string
  /** Environment variables that send its clients to `address`, this dialect's place at the gateway. */
  agentVariables(address: string): Record<string, string>
  /** The key among a client's headers; undefined where there is none. */
  keyOf(headers: IncomingHttpHeaders): string | undefined
  /** The headers that carry a key. */
  authenticate(key: string): Record<string, string>
  /** Headers of a request that its servers know, beside those that all do. */
  readonly requestHeaders: RegExp
  /** Further headers of a reply that its clients read, beside those that all have. */
  readonly replyHeaders: RegExp
  /** Version prefix of the provider's paths, put before every path. */
  readonly pathPrefix: string
  /** What its fields are, in requests and replies of all its routes. */
  readonly fields: Fields
  /** Types of what a provider signs: clients give it back as it came, and a changed one is refused. */
  readonly signed: ReadonlySet<string>
  /** What is called or passed on; everything else is refused. */
  readonly routes: readonly RouteRule[]
  /** Our error as the provider would say it. */
  errorBody(error: CageError, requestId: string): JsonObject
  /** The frame that ends a broken stream. */
  errorFrame(error: CageError, requestId: string): Sse
}

/** A count of tokens as a provider gives it: an integer from 0 to a hundred million, else undefined. */
export const tokenCount = (value: Json | undefined): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 100_000_000 ? value : undefined

/** A frame's JSON object. Throws CageError `provider_reply_invalid`. */
export function parseFrame({ data }: Sse): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch (error) {
    throw new CageError('provider_reply_invalid', 'the provider sent a frame that is not JSON', { cause: error })
  }
  if (!isObject(value)) throw new CageError('provider_reply_invalid', 'the provider sent a frame that is no object')
  return value
}
