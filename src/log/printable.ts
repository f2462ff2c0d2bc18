import { stripVTControlCharacters } from 'node:util'

/** One line without what would move the cursor or change the colors of a terminal. */
export const printable = (text: string): string =>
  stripVTControlCharacters(text)
    .replace(/[\r\n\u2028\u2029]+/g, ' ')
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '')

/** JSON with control and bidirectional characters escaped: the same JSON, safe to print on a terminal. */
export const printableJson = (json: string): string =>
  json.replace(/[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
