/** Private keys in PEM. */

import * as ascii from '../../core/ascii.ts'
import type { TextWindow } from '../text/text-window.ts'
import { belongs, type SecretMatch } from './secret.ts'

const KEY_BEGIN = /^-----BEGIN [A-Z\d ]{0,30}PRIVATE KEY(?: BLOCK)?-----/
const KEY_END = /-----END [A-Z\d ]{1,40}-----$/

/** Finds a private key in PEM, from the last hyphen of those that begin its first line. */
export function findPrivateKey(window: TextWindow, hyphen: number): SecretMatch | null {
  const start = hyphen - 4
  if (start < window.floor || !window.text.startsWith('----', start) || window.before(start) === ascii.HYPHEN)
    return null
  const opening = '-----BEGIN '
  if (window.at(hyphen + 1) !== ascii.UPPER_B) return null
  window.candidate = start
  for (let i = 6; i < opening.length; i++) if (window.at(start + i) !== opening.charCodeAt(i)) return null
  let hyphens = 0
  let end = start + opening.length
  for (; hyphens < 5; end++) {
    if (window.at(end) === ascii.HYPHEN) hyphens++
    else if (hyphens > 0 || end - start > 64) return null
  }
  if (!KEY_BEGIN.test(window.text.slice(start, end))) return null
  // The line break may be escaped: `\n` or `\\n`.
  while (end - start < 90 && /[\s\\nr]/.test(String.fromCharCode(window.at(end)))) end++
  for (let i = end; i < end + 4; i++) if (!belongs(window.at(i), '+/=')) return null
  return { type: 'secret', start, end: end + 4, tail: 'key_block' }
}

/** Returns the position after the END line, or of the first character that no key contains. */
export function keyBlockEnd(text: string, from: number): number {
  if (KEY_END.test(text.slice(Math.max(0, from - 56), from))) return from
  for (let end = from; end < text.length; end++) {
    const code = text.charCodeAt(end)
    if (!(belongs(code, '+/=-:,\\') || code === ascii.SPACE || (code >= ascii.TAB && code <= ascii.CARRIAGE_RETURN)))
      return end
    if (code === ascii.HYPHEN && KEY_END.test(text.slice(Math.max(0, end - 56), end + 1))) return end + 1
  }
  return text.length
}
