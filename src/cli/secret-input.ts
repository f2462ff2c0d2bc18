/** Reads what nobody else may see: typed without being shown, from a pipe, or from a file; never from a flag. */
import { readFileSync } from 'node:fs'
import { CageError } from '../errors.ts'
import type { Terminal } from './terminal.ts'

export interface SecretSource {
  /** What is asked for, e.g. "Password". */
  what: string
  /** (Default: standard input, or the keyboard.) */
  fromFile?: string | undefined
  /** Typed twice, since a mistake cannot be seen. (Default: once.) */
  twice?: boolean
}

/** One line end at its end is not part of it. Throws CageError `usage`. */
export async function readSecret({ what, fromFile, twice = false }: SecretSource, terminal: Terminal): Promise<string> {
  if (fromFile !== undefined) return withoutLineEnd(readSecretFile(fromFile))
  if (!terminal.inputIsTerminal) {
    const chunks: Uint8Array[] = []
    for await (const chunk of terminal.input) chunks.push(chunk)
    return withoutLineEnd(Buffer.concat(chunks).toString('utf8'))
  }
  // Before the question: an answer may come at once.
  terminal.setRawInput(true)
  const lines = typedLines(terminal)
  try {
    terminal.err(`${what} (not shown):`)
    const { value: secret = '' } = await lines.next()
    if (!twice) return secret
    terminal.err('Once more:')
    if ((await lines.next()).value === secret) return secret
    throw new CageError('usage', 'these were not the same', { hint: 'try again' })
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

/** What is typed, line by line; a raw keyboard shows nothing, and sends every key. */
async function* typedLines(terminal: Terminal): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder()
  let line: string[] = []
  for await (const chunk of terminal.input) {
    for (const key of decoder.decode(chunk, { stream: true })) {
      if (key === '\x03') throw new CageError('usage', 'given up', { hint: 'run the command again' })
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
