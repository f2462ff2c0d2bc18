/**
 * Shared by all secrets. They are found by their issuer's form (`issued-secret.ts`, `token-forms.ts`,
 * `private-key.ts`), by their place in a URL (`url-password.ts`) or by the name they are assigned to
 * (`named-secret.ts`). A long one has an open end: it counts as soon as it is certain, and the rest is swallowed as it
 * arrives.
 */
import * as ascii from '../../core/ascii.ts'
import { isAlphanumeric } from '../text/characters.ts'
import { beginsWord } from '../text/digits.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'

/** How a certain secret continues: the characters that still belong to it, or the quote that ends it. */
export type Tail = { also: string } | { quote: number } | 'key_block'

export interface SecretMatch extends Match {
  tail: Tail | null
}

/** An ASCII letter or digit, or one of the given characters. */
export function belongs(code: number, also: string): boolean {
  if (code >= ascii.END) return false
  if (isAlphanumeric(code)) return true
  for (let i = 0; i < also.length; i++) if (also.charCodeAt(i) === code) return true
  return false
}

/** A secret may begin here: nothing before is part of it, except an escape, another script or an emphasis mark. */
export function beginsSecret(window: TextWindow, start: number): boolean {
  const before = window.before(start)
  if (before === ascii.UNDERSCORE || before === ascii.HYPHEN || before === ascii.DOT)
    return !isAlphanumeric(window.before(start - 1))
  return beginsWord(window, start)
}
