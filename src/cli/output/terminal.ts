/** Where a command reads and writes: data to `out`, messages to `err`. */
import { isatty } from 'node:tty'
import { type Environment, readEnvironment } from '../../config/env.ts'
import type { Log } from '../../log/log.ts'
import { wrapLines } from '../../log/wrap.ts'

export interface Terminal {
  /** Writes one line of data. */
  out(line: string): void
  /** Writes one line of a message. */
  err(line: string): void
  /** The file descriptor of `out`, for non-blocking writes while a server runs (`live.ts`). */
  outDescriptor: number
  readonly input: AsyncIterable<Uint8Array>
  /** Whether `input` is a terminal that a person may type at. */
  inputIsTerminal: boolean
  /** Turns raw mode on or off: in raw mode each key arrives at once and is not echoed. */
  setRawInput(raw: boolean): void
  /** Whether `out` is a terminal that shows colors. */
  color: boolean
  /** The width of `out`; undefined if it is no terminal, where nothing is wrapped. */
  readonly columns?: number | undefined
  env: Environment
  cwd: string
  /** The log of the server that this command runs, for unexpected errors. */
  log?: Log
  /** The exit code when the command ends without an error. */
  exitCode: number
}

export function processTerminal(): Terminal {
  const env = readEnvironment()
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${wrapLines(line.split('\n'), process.stderr.columns).join('\n')}\n`),
    outDescriptor: 1,
    // Opened late: what opens it makes the pipe that a command inherits non-blocking.
    get input() {
      return process.stdin
    },
    get inputIsTerminal() {
      return isatty(0)
    },
    setRawInput: (raw) => void process.stdin.setRawMode?.(raw),
    color: process.stdout.isTTY === true && !env.noColor,
    get columns() {
      return process.stdout.columns
    },
    env,
    cwd: process.cwd(),
    exitCode: 0,
  }
}
