/** The tail of a secret that is already certain: it is swallowed as it arrives. */

import * as ascii from '../../core/ascii.ts'
import type { TextWindow } from '../text/text-window.ts'
import { keyBlockEnd } from './private-key.ts'
import { belongs, type Tail } from './secret.ts'

/** Returns the end of a secret that is certain up to `from`; the end of the text if the secret may continue. */
export function tailEnd(window: TextWindow, from: number, tail: Tail): number {
  if (tail === 'key_block') return keyBlockEnd(window.text, from)
  return 'quote' in tail ? valueEnd(window, from, tail.quote) : wordEnd(window, from, tail.also)
}

/** A dot belongs to the secret if the secret continues after it. */
function wordEnd(window: TextWindow, from: number, also: string): number {
  let end = from
  for (;;) {
    const code = window.at(end)
    if (!belongs(code, also) || (code === ascii.DOT && !belongs(window.at(end + 1), also.replace('.', '')))) return end
    end++
  }
}

/** Characters that end an unquoted value, in addition to blanks and control characters. */
const DELIMITERS = new Uint8Array(65_536)
for (const character of '"\'`,;&<>()[]{}|\\') DELIMITERS[character.charCodeAt(0)] = 1

/** Returns the end of a value: at its quote, or at a delimiter without one (`quote` 0). At most `limit`. */
export function valueEnd(window: TextWindow, from: number, quote: number, limit = Number.POSITIVE_INFINITY): number {
  let end = from
  for (; end < limit; end++) {
    const code = window.at(end)
    if (code <= ascii.SPACE || code === ascii.DELETE) break
    if (code === ascii.AMPERSAND && quote === 0 && !endsAtAmpersand(window, end)) continue
    if (
      quote === 0
        ? DELIMITERS[code] === 1
        : code === quote || (code === ascii.BACKSLASH && endsAtBackslash(window, end))
    )
      break
  }
  return end
}

/** Maximum length of the name of a parameter. */
const MAX_PARAMETER = 24

/** An ampersand ends a value before the next parameter of a URL or as an entity; other ones belong to a password. */
function endsAtAmpersand(window: TextWindow, ampersand: number): boolean {
  let end = ampersand + 1
  while (end - ampersand <= MAX_PARAMETER && belongs(window.at(end), '_.-[]%')) end++
  const next = window.at(end)
  return end === ampersand + 1 || next === ascii.EQUALS || next === ascii.SEMICOLON || next === ascii.AMPERSAND
}

/** A backslash before a quote, or one that begins `\n`, ends a value that was quoted inside another text. */
function endsAtBackslash(window: TextWindow, backslash: number): boolean {
  return endsQuoted(window.at(backslash + 1))
}

const endsQuoted = ascii.oneOf('"\'nr\\')
