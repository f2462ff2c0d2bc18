/**
 * The work done on large bodies, on another thread (`large-thread.ts`): read, redacted and written by the same
 * functions as small ones. Stateless between pieces of work; inputs and outputs are plain data.
 */

import { CageError } from '../../core/errors.ts'
import type { Format, Limits, ReportedUsage } from '../../dialects/dialect.ts'
import { DIALECTS, type DialectName } from '../../dialects/dialects.ts'
import { hasDuplicates, type Json, type JsonObject, parseReplyJson } from '../../dialects/json.ts'
import { decoded, parseLargeBody, requireFewParts, TooManyParts } from '../../dialects/large-json.ts'
import { modelOf } from '../../dialects/usage.ts'
import { Redactor, type RedactorSettings } from '../../redaction/redactor.ts'
import type { Finding } from '../../redaction/text/match.ts'
import { type CallFacts, type ModelNaming, readFacts } from '../call-facts.ts'
import { toolsAskedIn } from '../limits/tool-calls.ts'
import type { Found, RedactedCall, RedactedSide } from '../redaction/call-findings.ts'
import { CallRedactor } from '../redaction/call-redactor.ts'
import { parseWithoutTokens, withoutTokens } from '../redaction/own-tokens.ts'
import { mayHoldSealed, SealedOriginals } from '../redaction/sealed-originals.ts'
import { encoded, free, LARGE_BYTES } from './bytes.ts'
import { cutTexts } from './cut-texts.ts'
import { redactLongTexts } from './long-texts.ts'
import { replyInvalid, requireReply } from './reply-json.ts'

/** A format, by dialect and name. */
export interface FormatName {
  dialect: DialectName
  format: string
}

/** `model`: replaces the one in the body. (Default: the body's.) */
interface RequestWork {
  bytes: Buffer
  model: string | undefined
}

interface RedactionWork {
  bytes: Buffer
  dialect: DialectName
  settings: RedactorSettings
  /** Of the sealed originals. */
  sealKey: string
  /** The request of a reply, as JSON, if its content matters. */
  request?: string | undefined
}

/** The redacted bytes and the findings, or the error that prevented it. */
export type Redacted = { bytes: Buffer; found: Found } | { error: CageError }

export const LARGE_WORK = {
  /** Removes our own tokens from a request; `facts`: its demands, when a format is named. */
  readRequest({ bytes, model, format, naming }: RequestWork & { format: FormatName | undefined; naming: ModelNaming }) {
    const { value, safe, findings } = parseWithoutTokens(bytes, parseLargeBody)
    const facts: CallFacts | undefined = format && readFacts(formatOf(format), withModel(value, model), naming)
    return { bytes: safe ?? bytes, findings, facts }
  },

  redactRequest({ bytes, dialect, ...policy }: RedactionWork): { bytes: Buffer; found: Found } {
    const redactor = collector(policy, 'request')
    const value = parseLargeBody(bytes)
    const safe = redactor.request(value, DIALECTS[dialect])
    return { bytes: safe === value ? bytes : rewritten(bytes, safe), found: redactor.findings.found() }
  },

  /** Writes the request to send. `into` undefined: no limits are written. */
  writeRequest({
    bytes,
    model,
    into,
    sealKey,
  }: RequestWork & { into: { format: FormatName; limits: Limits } | undefined; sealKey: string }) {
    const sent = withModel(parseLargeBody(bytes), model)
    const body = mayHoldSealed(bytes) ? new SealedOriginals(sealKey).restore(sent) : sent
    const safe = into ? formatOf(into.format).prepare(body, into.limits) : body
    return { bytes, written: encoded(JSON.stringify(safe)) }
  },

  /** Returns the text to count tokens of. */
  textOf({ bytes, model, format }: RequestWork & { format: FormatName }): { bytes: Buffer; text: string } {
    return { bytes, text: formatOf(format).textOf!(withModel(parseLargeBody(bytes), model)) }
  },

  /** Reads a reply to a metered call. Its usage is read even if redaction fails, since it is paid for. */
  readReply({
    bytes,
    provider,
    format,
    ...policy
  }: Omit<RedactionWork, 'dialect'> & { provider: string; format: FormatName }) {
    const { text, value } = parsed(bytes, provider)
    if (value === undefined) throw replyInvalid(provider, 'is not JSON')
    const reply = requireReply(value, provider)
    const facts: { model: string | undefined; usage: ReportedUsage | undefined; tools: string[]; characters: number } =
      {
        model: modelOf(reply),
        usage: formatOf(format).usageOf(reply),
        tools: toolsAskedIn(reply),
        characters: text.length,
      }
    return { ...facts, redacted: redacted(bytes, text, reply, { dialect: format.dialect, ...policy }) }
  },

  /** Redacts any other response of a provider, JSON or not. */
  redactAnswer({ bytes, dialect, provider, ...policy }: RedactionWork & { provider: string }): { redacted: Redacted } {
    const { text, value } = parsed(bytes, provider)
    return { redacted: redacted(bytes, text, value, { dialect, ...policy }) }
  },

  /** Redacts the long texts in the data of a stream's frame, except for findings at their end, and marks them. */
  redactFrame({ bytes, dialect, provider, mark, ...policy }: RedactionWork & { provider: string; mark: string }) {
    const { text, value } = parsed(bytes, provider)
    free(bytes)
    const redactor = collector(policy, 'reply')
    // The reader refuses other text than JSON.
    if (value === undefined) {
      const data = text.slice(0, MAX_FRAME_REST)
      return { data, cuts: [], isChanged: true, found: redactor.findings.found() }
    }
    const safe = redactLongTexts(redactor, value, DIALECTS[dialect].fields)
    const { data, cuts, unread } = cutTexts(text, safe, mark)
    if (data.length > MAX_FRAME_REST || unread > MAX_UNREAD) throw frameTooLarge(provider)
    const isChanged = safe.value !== value || hasDuplicates(text, value)
    return { data, cuts, isChanged, found: redactor.findings.found() }
  },

  /** Removes our own tokens from a body for a service. */
  withoutTokens({ bytes }: { bytes: Buffer }): { bytes: Buffer; findings: Finding[] } {
    return withoutTokens(bytes)
  },
}

export type LargeWork = typeof LARGE_WORK

const formatOf = ({ dialect, format }: FormatName): Format =>
  DIALECTS[dialect].routes.find(({ route }) => typeof route === 'object' && route.name === format)!.route as Format

const withModel = (body: JsonObject, model: string | undefined): JsonObject =>
  model === undefined ? body : { ...body, model }

function rewritten(old: Buffer, value: Json): Buffer {
  free(old)
  return encoded(JSON.stringify(value))
}

/** `value` is undefined for text that is not JSON. Throws CageError `reply_too_large` for too many parts. */
function parsed(bytes: Buffer, provider: string): { text: string; value: Json | undefined } {
  let hasLongIntegers = false
  try {
    hasLongIntegers = requireFewParts(bytes, true)
  } catch (error) {
    throw error instanceof TooManyParts ? tooManyParts(provider, error) : error
  }
  const text = decoded(bytes)
  try {
    return { text, value: parseReplyJson(text, hasLongIntegers) as Json }
  } catch {
    return { text, value: undefined }
  }
}

/** Characters of a frame without the parts cut out of its long texts: they are read on the main thread, in one turn. */
const MAX_FRAME_REST = 512 * 1024
/** Characters of its texts that are searched there: as many as a frame may have that is not large. */
const MAX_UNREAD = LARGE_BYTES

const frameTooLarge = (provider: string): CageError =>
  new CageError('reply_too_large', `a frame of ${provider} has too many texts`, {
    facts: { provider, max_characters: MAX_FRAME_REST, max_in_short_texts: MAX_UNREAD },
  })

const tooManyParts = (provider: string, cause: TooManyParts): CageError =>
  new CageError('reply_too_large', `the reply of ${provider} has too many parts`, { facts: { provider }, cause })

function redacted(
  bytes: Buffer,
  text: string,
  value: Json | undefined,
  { dialect, ...policy }: Omit<RedactionWork, 'bytes'>,
): Redacted {
  const redactor = collector(policy, 'reply')
  try {
    const { fields } = DIALECTS[dialect]
    const safe = value === undefined ? redactor.whole(text, 'reply') : redactor.reply(text, value, fields)
    if (safe === text) return { bytes, found: redactor.findings.found() }
    free(bytes)
    return { bytes: encoded(safe), found: redactor.findings.found() }
  } catch (error) {
    return { error: error as CageError }
  }
}

/** Collects findings for the thread that has the incidents. */
function collector(
  { settings, sealKey, request }: Pick<RedactionWork, 'settings' | 'sealKey' | 'request'>,
  subject: RedactedSide,
): CallRedactor {
  const maxKept = subject === 'request' ? MAX_COMPARED : undefined
  const originals = new SealedOriginals(sealKey)
  const parts = { redactor: Redactor.of(settings), incidents: NO_INCIDENTS, originals, maxKept }
  const call = request === undefined ? NO_CALL : { ...NO_CALL, body: { json: () => request } }
  return new CallRedactor(parts, call, subject)
}

/** Findings of a request that are compared with earlier ones; the others count as most of these do. */
const MAX_COMPARED = 2_000

const NO_INCIDENTS = { recordAll: () => undefined, newInRequest: (findings: readonly Finding[]) => [...findings] }
/** The call is known only to the caller of `take`; ids are branded, hence the cast. */
const NO_CALL = { id: null, caller: { agentId: '', runId: null } } as unknown as RedactedCall
