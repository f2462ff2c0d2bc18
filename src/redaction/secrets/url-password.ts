/** Passwords in URLs: `scheme://user:password@host`. */
import * as ascii from '../../core/ascii.ts'
import { isAsciiDigit } from '../text/characters.ts'
import type { TextWindow } from '../text/text-window.ts'
import type { SecretMatch } from './secret.ts'

/** Maximum length of a user, and of a password with its host. */
const MAX_USER = 96
const MAX_REST = 160
/** The same for a password that contains a slash or another mark that usually ends the host. */
const MAX_REST_WITH_MARKS = 64

/** Placeholders in documentation for a password. */
const STAND_IN =
  /^(?:.{1,3}|my?pass(?:word|wd)?|pass(?:word|wd)?|pwd|secret|(.)\1*|<.*>|%\w*%|[[{$(].*)$|your|replace|example|change.?me|placeholder/i
/** The host after an at sign that is not part of a path. */
const HOST = /^[\w.-]+(?:[:/?#].*)?$/s

/** Finds the password of a URL, from the colon of its scheme. It may contain `@ : / # ?` if a host follows. */
export function findUrlPassword(window: TextWindow, colon: number): SecretMatch | null {
  if (!window.isAt(colon + 1, '//')) return null
  window.candidate = colon
  const user = colon + 3
  const separator = userEnd(window, user)
  if (window.at(separator) !== ascii.COLON || isPort(window, separator + 1)) return null
  const start = separator + 1
  const end = passwordEnd(window, start)
  if (end <= start) return null
  const password = window.text.slice(start, end)
  if (password === window.text.slice(user, separator) || STAND_IN.test(password)) return null
  return { type: 'secret', start, end, tail: null }
}

function userEnd(window: TextWindow, start: number): number {
  let end = start
  for (; end - start < MAX_USER; end++) {
    const code = window.at(end)
    if (endsUrl(code) || code === ascii.AT || code === ascii.COLON || code === ascii.SLASH) break
  }
  return end
}

/** Blanks, quotes, brackets of Markdown and HTML, a backslash. */
const ENDS_URL = new Uint8Array(65_536).fill(1, 0, ascii.SPACE + 1)
for (const character of '"\'`<>\\') ENDS_URL[character.charCodeAt(0)] = 1

function endsUrl(code: number): boolean {
  return ENDS_URL[code] === 1
}

/** Returns the last at sign before the path; without one, the last that a host follows. Or -1. */
function passwordEnd(window: TextWindow, start: number): number {
  let last = -1
  let inAuthority = -1
  let path = false
  let end = start
  for (; end - start < (path ? MAX_REST_WITH_MARKS : MAX_REST); end++) {
    const code = window.at(end)
    if (endsUrl(code)) break
    if (code === ascii.AT) {
      last = end
      if (!path) inAuthority = end
    } else if (endsAuthority(code)) {
      if (inAuthority >= 0) return inAuthority
      path = true
    }
  }
  if (inAuthority >= 0 || last < 0) return inAuthority
  return HOST.test(window.text.slice(last + 1, end)) ? last : -1
}

/** `http://localhost:8080/` */
function isPort(window: TextWindow, start: number): boolean {
  let end = start
  while (end - start < 6 && isAsciiDigit(window.at(end))) end++
  const next = window.at(end)
  return end > start && (next <= ascii.SPACE || endsAuthority(next) || endsUrl(next) || isClosing(next))
}

const endsAuthority = ascii.oneOf('/?#')
const isClosing = ascii.oneOf(')]},;.')
