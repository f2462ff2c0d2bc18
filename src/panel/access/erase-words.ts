/** Replaces what names a person, as whole words, in texts and in JSON. */

/** Their words stand side by side without spaces. */
const UNSPACED = '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}'
const IN_WORD = '[\\p{L}\\p{M}\\p{N}]'
const NEEDS_END = new RegExp(`^(?![${UNSPACED}])${IN_WORD}$`, 'u')

/** Returns `text` with the pseudonym in place of each of the words. */
export type EraseWords = (text: string) => string

/**
 * `words`: such as a name or an e-mail address, in upper or lower case, composed or decomposed; a space in it stands for
 * any white space.
 */
export function eraseWords(words: readonly string[], pseudonym: string): EraseWords {
  const forms = new Set(words.flatMap((word) => [word.normalize('NFC'), word.normalize('NFD')]))
  // The longest first: an address before the name that it begins with.
  const patterns = [...forms].toSorted((one, other) => other.length - one.length).map(patternOf)
  const found = new RegExp(patterns.join('|'), 'giu')
  return (text) => text.replaceAll(found, pseudonym)
}

function patternOf(word: string): string {
  const letters = [...word]
  const parts = word.split(/\s+/).map((part) => part.replaceAll(/[\^$\\.*+?()[\]{}|/]/g, '\\$&'))
  // In JSON within a text, the letter before a word may belong to an escaped line break, here and below.
  const before = NEEDS_END.test(letters[0]!) ? `(?:(?<=\\\\[bfnrt])|(?<!${IN_WORD}))` : ''
  const after = NEEDS_END.test(letters.at(-1)!) ? `(?!${IN_WORD})` : ''
  return `${before}${parts.join('(?:\\s|\\\\[nrt])+')}${after}`
}

/** The same for JSON, in every text and name of it; JSON without the words stays as it is. */
export function eraseInJson(json: string, erase: EraseWords): string {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    return erase(json)
  }
  let isChanged = false
  const eraseIn = (text: string): string => {
    const erased = erase(text)
    isChanged ||= erased !== text
    return erased
  }
  const erased = eraseInValue(value, eraseIn)
  return isChanged ? JSON.stringify(erased) : json
}

function eraseInValue(value: unknown, erase: EraseWords): unknown {
  if (typeof value === 'string') return erase(value)
  if (Array.isArray(value)) return value.map((each) => eraseInValue(each, erase))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [erase(name), eraseInValue(each, erase)]))
}
