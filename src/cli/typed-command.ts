import { repeatable } from './output/error-text.ts'

/** The command line as it was typed, quoted for a shell and without personal data. `program`: the root command. */
export function typedCommand(program: unknown): string {
  const { rawArgs } = program as { rawArgs: readonly string[] }
  const words = ['iron-cage', ...rawArgs].map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : quoted(word)))
  return repeatable(words.join(' '))
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`
