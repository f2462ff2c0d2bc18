/**
 * A dialect is the API of a family of providers: its keys, paths, routes and errors. Each route that calls use has a
 * format: how its requests, replies, usage and streams are written. All other code knows only these two interfaces; a
 * dialect is a folder next to this file, and `dialects.ts` lists them. Who speaks which is in `known-providers.ts`.
 *
 * Dialects are stateless: they import only each other's shared parts, errors and money, so that configuration, agents, budget
 * and gateway can all use them.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { CageError } from '../core/errors.ts'
import type { Nanodollars } from '../core/money.ts'
import { isObject, type Json, type JsonObject, parseReplyJson } from './json.ts'
import type { Fields, FoundTokenIds, Leaf, TextPlace } from './texts.ts'

/** The demands of a request that the length of its text does not show. */
export interface Demands {
  /** The provider reads more than the request contains: stored answers, files, documents, the web. */
  isInputUnseen: boolean
  /** Ids of content that the provider has stored and the model reads: unseen, unless this gateway delivered it. */
  references: readonly string[]
  /** Tokens that the vendor adds for its tools. */
  toolTokens: number
  /** Bytes of an answer that the client predicts: what of it is rejected is output as well. */
  predictedBytes: number
  /** Input tokens from which the provider first has a model summarize the conversation; null if it does not. */
  compactsFrom: number | null
  images: number
  /** Bytes of images in the request. */
  imageBytes: number
  /** Maximum tokens of one image. */
  imageTokens: number
  audioInput: boolean
  /** Bytes of recordings; infinite where unseen content may have some. */
  audioBytes: number
  audioOutput: boolean
  imageOutput: boolean
  /** Fields of the request whose cost is unknown (`request-fields.ts`). */
  unknownFields: readonly string[]
  /** Requested service tiers and the like, as in `Usage.terms`. */
  terms: readonly string[]
  /** Searches that are made and charged in any case. */
  searches: number
  /** Tools that the provider runs, after each of which the model reads everything again; null without any. */
  serverTools: ServerTools | null
}

export interface ServerTools {
  /** Number of tools with a separate limit. */
  count: number
  /** The limit of each; null if the client set none. */
  uses: number | null
}

/** Demands while a request is read. */
export type MutableDemands = { -readonly [Name in keyof Demands]: Demands[Name] }

/** A request that is only its text. */
export const TEXT_ONLY: Demands = {
  isInputUnseen: false,
  references: [],
  toolTokens: 0,
  predictedBytes: 0,
  compactsFrom: null,
  images: 0,
  imageBytes: 0,
  imageTokens: 0,
  audioInput: false,
  audioBytes: 0,
  audioOutput: false,
  imageOutput: false,
  unknownFields: [],
  terms: [],
  searches: 0,
  serverTools: null,
}

/**
 * The usage of one call. `input` is everything read, `output` everything written; both include cached and audio tokens.
 */
export interface Usage {
  input: number
  cachedInput: number
  cacheWrite: number
  cacheWriteHour: number
  output: number
  audioInput?: number
  audioOutput?: number
  /** Image tokens within the output; undefined if not reported. */
  imageOutput?: number
  /** Reasoning, and the text read of cited sources: in addition to the others where they have a separate price. */
  reasoning?: number
  citation?: number
  webSearches?: number
  previewSearches?: number
  fileSearches?: number
  /** Tokens in addition to the others, by the provider's total. */
  unknownTokens?: number
  /** Counts in unknown fields of a usage without a total: they may be parts of the others. */
  unconfirmedTokens?: number
  /** Terms that the call was served on, if not standard: "flex", "priority", "fast" … */
  terms?: readonly string[]
}

/** A format: parsed and priced. `unmetered`: free, forwarded. `blocked`: on no list, refused. */
export type Route = Format | 'unmetered' | 'blocked'

/** A route of a dialect (`routes.ts`). */
export interface RouteRule {
  method: 'GET' | 'POST' | 'DELETE'
  /** Below the prefix, e.g. "/models/{model}". */
  path: string
  route: Route
  /** Free at the vendor's own provider; others charge for it. */
  onlyVendors?: true
}

/** The usage that a provider reports; undefined if it reports nothing usable. */
export interface ReportedUsage {
  usage: Usage
  /** Cost that the provider reports; undefined if it reports none. */
  cost?: Nanodollars
  /** An invalid figure was replaced. */
  isRepaired: boolean
  /** False while a stream is still counting. */
  isFinal: boolean
  /** Ids under which the provider keeps the response and its items. (Default: none.) */
  stored?: readonly string[]
}

/** Redacts the texts of one reply. Each text has a `place`, which the policy may not cover. */
export interface Redactions {
  /** Redacts one whole text. `label`: the name of its field if it may identify the text, e.g. "phone". */
  whole(text: string, place: TextPlace, label?: string): string
  /** Redacts data that is not text: only values known to be secret are searched for. */
  known(text: string, place: TextPlace): string
  /** Redacts a text that repeats an earlier one: its findings count once. */
  again(text: string, place: TextPlace): string
  /** Redacts one piece of the continuous text `channel`. */
  push(channel: string, piece: string, place: TextPlace): Piece
  /** Registers the text of a channel that was sent before its first piece. */
  began(channel: string, text: string): void
  /** Makes all pieces of a channel certain. The text may continue; what began before is then not completed. */
  end(channel: string): void
  /**
   * Redacts a whole text that follows others, so that it completes none of them. `isRepeated`: it was checked before
   * and its findings count once. (Default: false.)
   */
  next(channel: string, text: string, leaf: Leaf, isRepeated?: boolean): string
  /** Redacts texts that clients read as one; undefined if nothing spans two parts. */
  joined(parts: readonly string[], place: TextPlace): string[] | undefined
  /** Returns what stands for token ids, which cannot be read. */
  tokenIds(ids: Json[], found: FoundTokenIds): Json[]
  /** Returns the signature for a signed object that was changed: clients send it back, and with it the original. */
  signature(original: JsonObject): string
}

/** A piece of a text that arrives in several frames. */
export interface Piece {
  /** Its redacted form; undefined while its text may still become data. */
  readonly safe: string | undefined
}

/** A frame of a stream. */
export interface Sse {
  event: string | null
  data: string
  /** How it came (`framing.ts`). Readers hand it on with the frame. */
  source?: unknown
}

/**
 * Reads one streamed reply: takes the provider's frames, returns the client's. Those are the same frames in the same
 * order; one with a text that is not certain yet waits, and all that follow it.
 */
export interface StreamReader {
  /** Returns the frames that may be sent by now. Throws CageError `provider_reply_invalid` for an invalid frame. */
  read(frame: Sse): Sse[]
  /** Returns the frames that were held back, when the provider's stream has ended and the reply is complete; else none. */
  end(): Sse[]
  /** True once the reply is complete; it may be known only after `end`. */
  readonly isFinished: boolean
  /** Once the provider has ended the reply with an error: the status that it would have as an answer. */
  readonly errorStatus: number | undefined
  /** Returns the usage reported so far. */
  usage(): ReportedUsage | undefined
  /** Text delivered so far, for an estimate when the provider never reports usage. */
  readonly deliveredText: string
}

/** The fields written into a request before it is sent. */
export interface Limits {
  stream: boolean
  /** Maximum tokens of one answer; null keeps the client's own limit, if any. */
  clampTo: number | null
  /** Maximum uses of each of the provider's own tools; null leaves them unchanged. */
  toolUses: number | null
  /**
   * The call goes to the vendor's own models, which refuse a request with the limit in two fields. For other servers
   * the limit is written into every field that servers of this dialect read, since each reads a different one.
   */
  isVendors: boolean
  /** The only field in which this model accepts the limit, if it has refused the others. */
  onlyLimit: string | undefined
  /** The model behind the name in the body. */
  model: string
  /** Streams are asked for their usage; false for a model that has refused to be asked. */
  asksUsage: boolean
}

/** The format of one route: its requests, replies and streams. */
export interface Format {
  /** Unique within its dialect. */
  readonly name: string
  /** The configuration can give its route a fixed price instead. (Default: it cannot.) */
  readonly yieldsToConfig?: true
  /** How its streams are written when they are no server-sent events. (Default: they are never anything else.) */
  readonly streamsAs?: 'array' | 'lines'
  /** Its clients take comments in a stream for data. (Default: they ignore them, as the format demands.) */
  readonly readsComments?: true
  /** Reads model, streaming and size of a body, in which `model` is set. Throws CageError `bad_request`. */
  readCall(body: JsonObject): {
    model: string
    stream: boolean
    /** Maximum tokens of one answer; null if the client set no limit. */
    maxOutputTokens: number | null
    /** Number of answers requested. */
    answers: number
    /** The client requested usage in the stream itself. */
    wantsUsage: boolean
    /** Its demands besides its text. */
    demands: Demands
    /** The model thinks unless the request turns it off. (Default: only if it asks for that.) */
    mayThink?: boolean
  }
  /** Returns the body to send: usage requested in streams, the limits written. */
  prepare(body: JsonObject, limits: Limits): JsonObject
  /** Returns the only field for the limit, if a refusal names it. (Default: there is only one.) */
  onlyLimitIn?(refusal: string): string | undefined
  /** Returns all text of a request without its images, for the tokenizer. (Default: no exact count.) */
  textOf?(body: JsonObject): string
  usageOf(reply: JsonObject): ReportedUsage | undefined
  readStream(redact: Redactions, wantsUsage: boolean): StreamReader
}

export interface Dialect {
  readonly name: string
  /** Returns the key among a client's headers, if any. */
  keyOf(headers: IncomingHttpHeaders): string | undefined
  /** Returns the headers that carry a key. */
  authenticate(key: string): Record<string, string>
  /** Requests are signed with our secrets, and a client's signature is not sent. (Default: a key is sent as it is.) */
  readonly signs?: 'aws' | 'google'
  /** Request headers that its servers know, in addition to the common ones. */
  readonly requestHeaders: RegExp
  /** Reply headers that its clients read, in addition to the common ones. */
  readonly replyHeaders: RegExp
  /** Parameter of the query in which clients may send a key. (Default: none.) */
  readonly keyParameter?: string
  /** Parameters of the query that are forwarded. (Default: all.) */
  readonly query?: RegExp
  /** Matches what clients send before the routes, at the start of a path. */
  readonly prefix: RegExp
  /** Returns the path that is sent before a route instead. */
  prefixFor(sent: string, route: string): string
  /** Its fields, in requests and replies of all its routes. */
  readonly fields: Fields
  /** Types of data that a provider signs: clients send it back unchanged, and a changed one is refused. */
  readonly signed: ReadonlySet<string>
  /** Routes that are called or forwarded; all others are refused. */
  readonly routes: readonly RouteRule[]
  /** Returns our error in the provider's format. */
  errorBody(error: CageError, requestId: string): JsonObject
  /** Returns the frame that ends a broken stream. */
  errorFrame(error: CageError, requestId: string): Sse
}

/** Returns a provider's token count: an integer from 0 to a hundred million, else undefined. */
export const tokenCount = (value: Json | undefined): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 100_000_000 ? value : undefined

/** Parses a frame's JSON object. Throws CageError `provider_reply_invalid`. */
export function parseFrame({ data }: Sse): JsonObject {
  let value: unknown
  try {
    value = parseReplyJson(data)
  } catch (error) {
    throw new CageError('provider_reply_invalid', 'the provider sent a frame that is not JSON', { cause: error })
  }
  if (!isObject(value)) throw new CageError('provider_reply_invalid', 'the provider sent a frame that is not an object')
  return value
}
