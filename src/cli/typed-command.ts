import { repeatable } from './output/error-text.ts'

/** The command line as it was typed, quoted for a shell and without personal data. `line`: after "iron-cage". */
export function typedCommand(line: readonly string[]): string {
  const words = ['iron-cage', ...line].map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : quoted(word)))
  return repeatable(words.join(' '))
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`
