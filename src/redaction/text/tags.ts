/** Tags of HTML within a value: `<em>`, `</td>`. */
import * as ascii from '../../core/ascii.ts'
import { isAsciiLetter } from './characters.ts'
import type { TextWindow } from './text-window.ts'

/** Maximum length of a tag, in characters. */
const MAX_TAG = 64

/** Returns the end of the tag that begins at a position, or -1. */
export function tagEnd(window: TextWindow, start: number): number {
  if (window.at(start) !== ascii.LESS_THAN) return -1
  const name = window.at(start + 1) === ascii.SLASH ? start + 2 : start + 1
  if (!isAsciiLetter(window.at(name))) return -1
  for (let end = name + 1; end - start < MAX_TAG; end++) {
    const code = window.at(end)
    if (code === ascii.GREATER_THAN) return end + 1
    if (code === ascii.LESS_THAN || code < ascii.SPACE) return -1
  }
  return -1
}

/** Tags that change how text looks, and do not end a word. */
const INLINE = /^<\/?(?:a|b|big|code|del|em|font|i|ins|mark|s|small|span|strong|sub|sup|tt|u|wbr)[\s/>]/i

/** Returns the end of a tag within a word, or -1. */
export function inlineTagEnd(window: TextWindow, start: number): number {
  const end = tagEnd(window, start)
  return end > 0 && INLINE.test(window.text.slice(start, end)) ? end : -1
}

/** Returns the start of the tag within a word that ends at a position, or the position. */
export function inlineTagStart(text: string, end: number): number {
  const found = /<[^<>]{1,62}>$/.exec(text.slice(Math.max(0, end - MAX_TAG), end))?.[0]
  return found && INLINE.test(found) ? end - found.length : end
}
