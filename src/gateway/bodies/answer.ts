/** Whole responses of providers, read and redacted on this thread or, when large, on one of their own. */
import { countTokens } from '../../budget/tokenizer.ts'
import type { Dialect, ReportedUsage } from '../../dialects/dialect.ts'
import type { DialectName } from '../../dialects/dialects.ts'
import { modelOf } from '../../dialects/usage.ts'
import type { Redactor } from '../../redaction/redactor.ts'
import type { LlmCall } from '../call.ts'
import { toolsAskedIn } from '../limits/tool-calls.ts'
import type { Found, RedactedCall } from '../redaction/call-findings.ts'
import type { CallRedactor } from '../redaction/call-redactor.ts'
import type { SealedOriginals } from '../redaction/sealed-originals.ts'
import { LARGE_BYTES } from './bytes.ts'
import { Cuts, newMark } from './cut-texts.ts'
import type { LargeBodies, WorkFor } from './large-bodies.ts'
import type { Redacted } from './large-work.ts'
import { parseReply } from './reply-json.ts'

/** The delivered text of a response, for when the provider does not report usage. */
export interface Delivered {
  /** In characters. */
  length: number
  tokens(model: string): Promise<number>
}

/** `cutCharacters`: characters that were cut out of the text, whose tokens are estimated. (Default: none.) */
export const deliveredText = (text: string, cutCharacters = 0): Delivered => ({
  length: text.length + cutCharacters,
  tokens: async (model) => (await countTokens(text, model)) + Math.ceil(cutCharacters / BYTES_PER_TOKEN),
})

/** A reply to a metered call. */
export interface Reply {
  model: string | undefined
  usage: ReportedUsage | undefined
  delivered: Delivered
  /** Names of the tools that it asks to call. */
  tools(): readonly string[]
  /** Returns the redacted body. Throws CageError `redaction_failed`. */
  redacted(redactor: CallRedactor): Promise<string | Buffer>
}

export interface AnswerRedaction {
  large: LargeBodies
  redactor: Pick<Redactor, 'settings' | 'passesGiven'>
  originals: Pick<SealedOriginals, 'key'>
}

/** The settings with which a thread redacts. `body`: the request. */
const policyOf = ({ redactor, originals }: AnswerRedaction, body: RedactedCall['body']) => ({
  settings: redactor.settings,
  sealKey: originals.key,
  request: redactor.passesGiven ? body?.json() : undefined,
})

/**
 * Throws CageError `provider_reply_invalid`, `reply_too_large`. Continues after the client left: a reply that is paid for has the usage.
 */
export async function readReply(
  redaction: AnswerRedaction,
  bytes: Buffer,
  { format, provider, caller, body }: LlmCall,
): Promise<Reply> {
  const { name, dialect } = provider
  if (bytes.length >= LARGE_BYTES) {
    const named = { dialect: dialect.name as DialectName, format: format.name }
    const args = { bytes, ...policyOf(redaction, body), provider: name, format: named }
    const size = bytes.length
    const { model, usage, tools, characters, redacted } = await redaction.large.run('readReply', args, {
      agentId: caller.agentId,
      signal: NEVER,
    })
    const delivered = { length: characters, tokens: () => Promise.resolve(Math.ceil(size / BYTES_PER_TOKEN)) }
    return { model, usage, tools: () => tools, delivered, redacted: (redactor) => taken(redactor, redacted) }
  }
  const text = bytes.toString('utf8')
  const reply = parseReply(text, name)
  return {
    model: modelOf(reply),
    usage: format.usageOf(reply),
    tools: () => toolsAskedIn(reply),
    delivered: deliveredText(text),
    redacted: async (redactor) => {
      const safe = redactor.reply(text, reply, dialect.fields)
      return safe === text ? bytes : safe
    },
  }
}

const NEVER = new AbortController().signal
/** Estimate for large bodies, whose tokens would take too long to count. */
const BYTES_PER_TOKEN = 4

/** Redacts any other response, JSON or not. Throws CageError `redaction_failed`, `reply_too_large`. */
export async function redactAnswer(
  redaction: AnswerRedaction,
  bytes: Buffer,
  { name, dialect }: { name: string; dialect: Dialect },
  redactor: CallRedactor,
  work: WorkFor,
): Promise<string | Buffer> {
  if (bytes.length < LARGE_BYTES) return redactor.body(bytes.toString('utf8'), dialect.fields)
  const args = { bytes, ...policyOf(redaction, redactor.asked), dialect: dialect.name as DialectName, provider: name }
  const { redacted } = await redaction.large.run('redactAnswer', args, work)
  return taken(redactor, redacted)
}

/** A large frame without most of its long texts, which are redacted. */
export interface CleanFrame {
  data: string
  cuts: Cuts
  /** A text was redacted; otherwise the frame can be sent as it came. */
  isChanged: boolean
  found: Found
}

/** Redacts the long texts in the data of a large frame. Throws CageError `redaction_failed`, `reply_too_large`. */
export async function cleanFrame(
  redaction: AnswerRedaction,
  bytes: Buffer,
  { provider: { name, dialect }, caller: { agentId }, body }: LlmCall,
): Promise<CleanFrame> {
  const mark = newMark()
  const args = { bytes, ...policyOf(redaction, body), dialect: dialect.name as DialectName, provider: name, mark }
  const { cuts, ...frame } = await redaction.large.run('redactFrame', args, { agentId, signal: NEVER })
  return { ...frame, cuts: new Cuts(mark, cuts) }
}

async function taken(redactor: CallRedactor, redacted: Redacted): Promise<Buffer> {
  if ('error' in redacted) throw redacted.error
  await redactor.findings.take(redacted.found)
  return redacted.bytes
}
