/** Reads a secret: typed without echo, from a pipe, or from a file; never from a flag. */
import { readFileSync } from 'node:fs'
import { CageError } from '../../core/errors.ts'
import type { Terminal } from '../output/terminal.ts'

export interface SecretSource {
  /** The prompt, such as "Password". */
  what: string
  /** (Default: standard input, or the keyboard.) */
  fromFile?: string | undefined
  /** Have it typed twice, since a typing error cannot be seen. (Default: once.) */
  twice?: boolean
}

/** Returns the secret without a final line break. Throws CageError `usage`. */
export async function readSecret({ what, fromFile, twice = false }: SecretSource, terminal: Terminal): Promise<string> {
  if (fromFile !== undefined) return withoutLineEnd(readSecretFile(fromFile))
  if (!terminal.inputIsTerminal) {
    const chunks: Uint8Array[] = []
    for await (const chunk of terminal.input) chunks.push(chunk)
    return withoutLineEnd(Buffer.concat(chunks).toString('utf8'))
  }
  // Before the prompt: the reply may arrive at once.
  terminal.setRawInput(true)
  const lines = typedLines(terminal)
  try {
    terminal.err(`${what} (hidden):`)
    const { value: secret = '' } = await lines.next()
    if (!twice) return secret
    terminal.err('Repeat it:')
    if ((await lines.next()).value === secret) return secret
    throw new CageError('usage', 'the two inputs differ', { hint: 'try again' })
  } finally {
    terminal.setRawInput(false)
  }
}

function readSecretFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new CageError('usage', `cannot read ${path}: ${(error as Error).message}`, {
      cause: error,
      hint: 'check the path and its permissions',
    })
  }
}

const withoutLineEnd = (text: string): string => text.replace(/\r?\n$/, '')

/** The typed lines; in raw mode the terminal echoes nothing and sends every key. */
async function* typedLines(terminal: Terminal): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder()
  let line: string[] = []
  for await (const chunk of terminal.input) {
    for (const key of decoder.decode(chunk, { stream: true })) {
      if (key === '\x03') throw new CageError('usage', 'cancelled', { hint: 'run the command again' })
      if (key === '\r' || key === '\n' || key === '\x04') {
        yield line.join('')
        line = []
      } else if (key === '\x7f' || key === '\b') {
        line.pop()
      } else if (key === '\x15') {
        line = []
      } else {
        line.push(key)
      }
    }
  }
  return undefined
}
