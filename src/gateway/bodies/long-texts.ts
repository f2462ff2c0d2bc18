/** The long texts in a frame of a stream, redacted before the frame is read, each by itself. */
import type { Json } from '../../dialects/json.ts'
import { type Fields, type Kind, type TextPlace, TextWalk } from '../../dialects/texts.ts'
import type { Finding } from '../../redaction/text/match.ts'
import type { CallRedactor } from '../redaction/call-redactor.ts'
import { CONTEXT_CHARACTERS, EDGE_CHARACTERS, isLong, type SafeFrame } from './cut-texts.ts'

/** Shorter texts are left to the reader of the frame. */
const MIN_CHARACTERS = 1_024
/** Maximum length of a finding that stays at the end of a text. */
const MAX_OPEN_CHARACTERS = EDGE_CHARACTERS - CONTEXT_CHARACTERS
/** Other data than secrets that are known is shorter where it is not certain yet. */
const MAX_HELD_BACK = CONTEXT_CHARACTERS / 2

/** Throws CageError `redaction_failed`. */
export function redactLongTexts(redactor: CallRedactor, data: Json, fields: Fields): SafeFrame {
  const openEnds = new Set<string>()
  const walk = new TextWalk(fields, {
    text: (text, { kind, place, label }) => {
      if (text.length < MIN_CHARACTERS || (!isLong(text) && isReadAgain(redactor, text, kind, place))) return text
      const { safe, isOpen } =
        kind === 'blob' ? { safe: redactor.known(text, place), isOpen: false } : allButEnd(redactor, text, place, label)
      if (isOpen || redactor.knownStart(safe.slice(-EDGE_CHARACTERS)).length > MAX_HELD_BACK) openEnds.add(safe)
      return safe
    },
    joined: (parts, place) => (parts.some(isLong) ? redactor.joined(parts, place) : undefined),
    tokens: (texts, place) =>
      [...texts.values()].some((text) => isLong(text) && redactor.again(text, place) !== text) ? 'hidden' : undefined,
  })
  return { parsed: data, value: redactor.failClosed(() => walk.change(data)), openEnds }
}

/** Findings that stay in a text are found again where all of it is read. */
const isReadAgain = (redactor: CallRedactor, text: string, kind: Kind, place: TextPlace): boolean =>
  kind === 'blob' || redactor.read(text, place).findings.some(({ action }) => action === 'warn')

function allButEnd(redactor: CallRedactor, text: string, place: TextPlace, label: string | undefined) {
  const { text: safe, findings } = redactor.read(text, place, label)
  const last = findings.at(-1)
  const open = last && openEnd(redactor, text, place, last)
  const noted = open === undefined ? findings : findings.slice(0, -1)
  if (noted.length > 0) redactor.findings.add(noted, place)
  if (open === undefined) return { safe, isOpen: false }
  return { safe: safe.slice(0, -last!.replacement.length) + open, isOpen: true }
}

/** Returns the rest of a finding at the end of a text: all of it, or of a long one what identifies it. */
function openEnd(
  redactor: CallRedactor,
  text: string,
  place: TextPlace,
  { start, end, action }: Finding,
): string | undefined {
  if (end !== text.length || action === 'warn') return undefined
  if (end - start <= MAX_OPEN_CHARACTERS) return text.slice(start)
  const half = MAX_OPEN_CHARACTERS / 2
  const short = text.slice(start, start + half) + text.slice(-half)
  const before = text.slice(Math.max(0, start - CONTEXT_CHARACTERS), start)
  const again = redactor.read(before + short, place).findings.at(-1)
  const isSame = again?.start === before.length && again.end === before.length + short.length
  return isSame ? short : undefined
}
