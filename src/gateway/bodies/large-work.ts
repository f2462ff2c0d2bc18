/**
 * What is done with large bodies, on a thread of its own (`large-thread.ts`): read, redacted and written by the same
 * functions as small ones. Nothing is kept from one piece of work to the next; what goes in and comes out is plain data.
 */
import type { Format, Limits, ReportedUsage } from '../../dialects/dialect.ts'
import { DIALECTS, type DialectName } from '../../dialects/dialects.ts'
import type { Json, JsonObject } from '../../dialects/json.ts'
import { decoded, parseLargeBody, requireFewParts, TooManyParts } from '../../dialects/large-json.ts'
import { modelOf } from '../../dialects/usage.ts'
import type { CageError } from '../../errors.ts'
import type { Finding } from '../../redaction/match.ts'
import { Redactor, type RedactorSettings } from '../../redaction/redactor.ts'
import { type CallFacts, readFacts } from '../call.ts'
import { CallRedactor, type Found, type RedactedCall, type Subject } from '../call-redactor.ts'
import { parseWithoutTokens, withoutTokens } from '../own-tokens.ts'
import { encoded, free } from './bytes.ts'
import { replyInvalid, requireReply } from './reply-json.ts'

/** A format by the dialect that has it and its name. */
export interface FormatName {
  dialect: DialectName
  format: string
}

/** `model`: in place of the one in the body; undefined leaves that. */
interface RequestWork {
  bytes: Buffer
  model: string | undefined
}

interface RedactionWork {
  bytes: Buffer
  dialect: DialectName
  settings: RedactorSettings
}

/** What was redacted, or why it could not be. */
export type Redacted = { bytes: Buffer; found: Found } | { error: CageError }

export const LARGE_WORK = {
  /** A request without our own tokens; `facts`: what it asks for, unless no format was named. */
  readRequest({ bytes, model, format }: RequestWork & { format: FormatName | undefined }) {
    const { value, safe, findings } = parseWithoutTokens(bytes, parseLargeBody)
    const facts: CallFacts | undefined = format && readFacts(formatOf(format), withModel(value, model))
    return { bytes: safe ?? bytes, findings, facts }
  },

  redactRequest({ bytes, dialect, settings }: RedactionWork): { bytes: Buffer; found: Found } {
    const redactor = collector(settings, 'request')
    const value = parseLargeBody(bytes)
    const safe = redactor.request(value, DIALECTS[dialect])
    return { bytes: safe === value ? bytes : rewritten(bytes, safe), found: redactor.found() }
  },

  /** What is sent. `into` undefined: nothing is written into it. */
  writeRequest({ bytes, model, into }: RequestWork & { into: { format: FormatName; limits: Limits } | undefined }) {
    const body = withModel(parseLargeBody(bytes), model)
    const safe = into ? formatOf(into.format).prepare(body, into.limits) : body
    return { bytes, written: encoded(JSON.stringify(safe)) }
  },

  /** The text to count tokens of. */
  textOf({ bytes, model, format }: RequestWork & { format: FormatName }): { bytes: Buffer; text: string } {
    return { bytes, text: formatOf(format).textOf!(withModel(parseLargeBody(bytes), model)) }
  },

  /** A reply to a metered call. Its usage is read also where it cannot be redacted: it is paid for. */
  readReply({
    bytes,
    settings,
    provider,
    format,
  }: Omit<RedactionWork, 'dialect'> & { provider: string; format: FormatName }) {
    const text = decoded(bytes)
    const value = parsed(bytes, text, provider)
    if (value === undefined) throw replyInvalid(provider, 'is not JSON')
    const reply = requireReply(value, provider)
    const said: { model: string | undefined; usage: ReportedUsage | undefined; characters: number } = {
      model: modelOf(reply),
      usage: formatOf(format).usageOf(reply),
      characters: text.length,
    }
    return { ...said, redacted: redacted(bytes, text, reply, { dialect: format.dialect, settings }) }
  },

  /** Any other answer of a provider, which may be no JSON. */
  redactAnswer({ bytes, settings, dialect, provider }: RedactionWork & { provider: string }): { redacted: Redacted } {
    const text = decoded(bytes)
    return { redacted: redacted(bytes, text, parsed(bytes, text, provider), { dialect, settings }) }
  },

  /** What goes to a service. */
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

/** Undefined for what is no JSON. */
function parsed(bytes: Buffer, text: string, provider: string): Json | undefined {
  try {
    requireFewParts(bytes, true)
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof TooManyParts) throw replyInvalid(provider, 'has more parts than any answer', error)
    return undefined
  }
}

function redacted(
  bytes: Buffer,
  text: string,
  value: Json | undefined,
  { dialect, settings }: Omit<RedactionWork, 'bytes'>,
): Redacted {
  const redactor = collector(settings, 'reply')
  try {
    const { fields } = DIALECTS[dialect]
    const safe = value === undefined ? redactor.whole(text, 'reply') : redactor.reply(text, value, fields)
    if (safe === text) return { bytes, found: redactor.found() }
    free(bytes)
    return { bytes: encoded(safe), found: redactor.found() }
  } catch (error) {
    return { error: error as CageError }
  }
}

/** Collects what is found, for who has the incidents. */
function collector(settings: RedactorSettings, subject: Subject): CallRedactor {
  const maxKept = subject === 'request' ? MAX_COMPARED : undefined
  return new CallRedactor({ redactor: Redactor.of(settings), incidents: NO_INCIDENTS, maxKept }, NO_CALL, subject)
}

/** So many findings of a request are compared with those of earlier ones; the others count as most of these do. */
const MAX_COMPARED = 2_000

const NO_INCIDENTS = { recordAll: () => undefined, newInRequest: (findings: readonly Finding[]) => [...findings] }
/** Whose it is knows only who takes what was found; ids are branded. */
const NO_CALL = { id: null, caller: { agentId: '', runId: null } } as unknown as RedactedCall
