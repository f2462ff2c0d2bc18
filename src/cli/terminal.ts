/** Where a command reads and writes: data to `out`, messages to `err`. */
import type { Argv } from 'yargs'
import { type Environment, readEnvironment } from '../config/env.ts'
import type { Log } from '../log/log.ts'

export interface Terminal {
  /** Writes one line of data. */
  out(line: string): void
  /** Writes one line of a message. */
  err(line: string): void
  /** The descriptor behind `out`, for what is written while a server works (`live.ts`). */
  outDescriptor: number
  input: AsyncIterable<Uint8Array>
  /** A person may be typing at `input`. */
  inputIsTerminal: boolean
  /** Whether a person's keys come one by one and are not shown. */
  setRawInput(raw: boolean): void
  /** `out` is a terminal that may be coloured. */
  color: boolean
  env: Environment
  cwd: string
  /** The log of the server that this command runs, for errors nobody foresaw. */
  log?: Log
  /** What the program exits with when the command ends without an error. */
  exitCode: number
}

/** Adds one command to the command line; its handler writes to `terminal`, sets its exit code, throws CageErrors. */
export type Command = (yargs: Argv, terminal: Terminal) => Argv

/** What a command line has after `--`, as it was typed. */
export const afterDashes = (args: object): string[] => (args as { '--'?: string[] })['--'] ?? []

export function processTerminal(): Terminal {
  const env = readEnvironment()
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${line}\n`),
    outDescriptor: 1,
    input: process.stdin,
    get inputIsTerminal() {
      return process.stdin.isTTY === true
    },
    setRawInput: (raw) => void process.stdin.setRawMode?.(raw),
    color: process.stdout.isTTY === true && !env.noColor,
    env,
    cwd: process.cwd(),
    exitCode: 0,
  }
}
