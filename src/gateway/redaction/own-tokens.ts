/** Removes our own credentials from everything sent, regardless of the policy. Replacements are valid in JSON. */

import type { CageError } from '../../core/errors.ts'
import { holdsPlainToken } from '../../core/tokens.ts'
import type { JsonObject } from '../../dialects/json.ts'
import { decoded, parseLargeJson } from '../../dialects/large-json.ts'
import { SECRETS_ONLY } from '../../redaction/policy.ts'
import { Redactor } from '../../redaction/redactor.ts'
import type { Finding } from '../../redaction/text/match.ts'
import { encoded } from '../bodies/bytes.ts'

interface Cleaned {
  /** The bytes without our tokens; undefined if there were none. */
  safe: Buffer | undefined
  findings: Finding[]
}

const OWN_TOKENS = new Redactor(SECRETS_ONLY)

/** Removes our tokens from any body, in JSON even if escaped. Other bodies are treated as plain bytes. */
export function withoutTokens(bytes: Buffer): { bytes: Buffer; findings: Finding[] } {
  const plain = (hasLetterEscapes(bytes) && rewritten(bytes)) || bytes
  const { safe, findings } = redactTokens(plain)
  return { bytes: safe ?? plain, findings }
}

function rewritten(bytes: Buffer): Buffer | undefined {
  try {
    return encoded(JSON.stringify(parseLargeJson(bytes)))
  } catch (error) {
    if ((error as CageError).code === 'bad_request') return undefined
    throw error
  }
}

/** Removes our tokens from any bytes. */
function redactTokens(bytes: Buffer): Cleaned {
  const text = decoded(bytes, 'latin1')
  return holdsPlainToken(text) ? redacted(text) : CLEAN
}

function redacted(latin1: string): Cleaned {
  const { text: safe, findings } = OWN_TOKENS.redact(latin1)
  return { safe: Buffer.from(safe, 'latin1'), findings }
}

const CLEAN: Cleaned = { safe: undefined, findings: [] }

/** Removes our tokens from JSON, in which letters may be escaped. Throws what `parse` throws. */
export function parseWithoutTokens(
  bytes: Buffer,
  parse: (bytes: Buffer) => JsonObject,
): Cleaned & { value: JsonObject } {
  const value = parse(bytes)
  const { safe, findings } = redactTokens(hasLetterEscapes(bytes) ? encoded(JSON.stringify(value)) : bytes)
  return { value: safe ? parse(safe) : value, safe, findings }
}

/** The same for a small body with its text. */
export function parseTextWithoutTokens(
  bytes: Buffer,
  text: string,
  parse: (text: string) => JsonObject,
): Cleaned & { value: JsonObject } {
  if (hasLetterEscapes(bytes) || holdsPlainToken(text)) return parseWithoutTokens(bytes, (of) => parse(decoded(of)))
  return { ...CLEAN, value: parse(text) }
}

const hasLetterEscapes = (bytes: Buffer): boolean =>
  bytes.includes('\\u00') && LETTER_ESCAPE.test(decoded(bytes, 'latin1'))

const LETTER_ESCAPE = /\\u00[2-7]/
