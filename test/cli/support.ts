/** The built program as a child, in a new folder. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { expect, onTestFinished } from 'vitest'
import { runCli } from '../../src/cli/cli.ts'
import { readEnvironment } from '../../src/config/env.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'

const BIN = resolve(import.meta.dirname, '../../bin/iron-cage.cjs')

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  out: string
  err: string
}

export interface RunOptions {
  stdin?: string
  env?: Record<string, string>
  /** Where it is started, below the place. (Default: the place.) */
  folder?: string
  /** Its output is a terminal that shows nothing more, as after Ctrl-S; `out` stays empty then. */
  onStoppedTerminal?: boolean
  /** It runs in a terminal that is closed when it shows this text; `out` is the output until then. */
  closesAt?: string
  /** A user at its terminal types each answer when its question is shown; `out` is the whole screen. */
  typed?: readonly (readonly [question: string, answer: string])[]
}

/** `columns`: of a terminal. (Default: the output is none.) */
type TypeOptions = Pick<RunOptions, 'stdin' | 'env'> & { columns?: number }

/** Becomes the program that follows, with a pseudo-terminal for its output that is never read. */
const STOPPED_TERMINAL = [
  'python3',
  '-c',
  'import os, pty, sys; screen, tty = pty.openpty(); os.set_inheritable(screen, True); os.dup2(tty, 1); os.execv(sys.argv[1], sys.argv[1:])',
]

/** Runs the program that follows in a pseudo-terminal, with the answers of its first argument, and ends as it ends. */
const TYPIST = `import json, os, pty, sys
answers = [(question.encode(), answer.encode()) for question, answer in json.loads(sys.argv[1])]
pid, screen = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown = unanswered = b''
while True:
    try:
        piece = os.read(screen, 4096)
    except OSError:
        break
    if not piece:
        break
    shown += piece
    unanswered += piece
    if answers and answers[0][0] in unanswered:
        unanswered = b''
        os.write(screen, answers.pop(0)[1])
sys.stdout.buffer.write(shown)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`

/** Runs the program that follows in a pseudo-terminal, closes that when it shows the first argument, and ends as it ends. */
const CLOSING_TERMINAL = `import os, pty, sys
pid, screen = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown = b''
while sys.argv[1].encode() not in shown:
    shown += os.read(screen, 4096)
sys.stdout.buffer.write(shown)
sys.stdout.flush()
os.close(screen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`

/** The prefix of a command that runs it in the terminal of these options. */
function terminalOf({ onStoppedTerminal, closesAt, typed }: RunOptions): readonly string[] {
  if (closesAt !== undefined) return ['python3', '-c', CLOSING_TERMINAL, closesAt]
  if (typed) return ['python3', '-c', TYPIST, JSON.stringify(typed)]
  return onStoppedTerminal ? STOPPED_TERMINAL : []
}

/** A program that runs; every test ends those it started. */
export class Run {
  out = ''
  err = ''
  readonly ended: Promise<Ended>
  readonly child

  constructor(cwd: string, args: readonly string[], options: RunOptions = {}) {
    const { stdin, env = {} } = options
    const [program, ...words] = [...terminalOf(options), process.execPath, BIN, ...args]
    this.child = spawn(program!, words, { cwd, env: { PATH: process.env.PATH, HOME: cwd, ...env } })
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.out += text
    })
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.err += text
    })
    // A program that has ended without reading is no fault of the test.
    this.child.stdin.on('error', () => undefined).end(stdin ?? '')
    this.ended = new Promise((done) =>
      this.child.once('close', (code, signal) => done({ code, signal, out: this.out, err: this.err })),
    )
  }

  /** Resolves when the output has this text. */
  async shows(text: string | RegExp, stream: 'out' | 'err' = 'out'): Promise<void> {
    await expect.poll(() => this[stream], { timeout: 60_000, interval: 20 }).toMatch(text)
  }
}

/** A folder with the files of a test; gone after the test, together with every program started in it. */
export class Place {
  readonly folder = mkdtempSync(join(tmpdir(), 'iron-cage-cli-'))
  readonly runs: Run[] = []

  write(name: string, content: string): string {
    writeFileSync(join(this.folder, name), content)
    return name
  }

  start(args: readonly string[], options?: RunOptions): Run {
    const run = new Run(join(this.folder, options?.folder ?? ''), args, options)
    this.runs.push(run)
    return run
  }

  run(args: readonly string[], options?: RunOptions): Promise<Ended> {
    return this.start(args, options).ended
  }

  /**
   * Types a command that ends by itself, in this process: starting another one takes ten times as long as most
   * commands. Use `run` for the properties of a process: exit code, streams, signals, a hidden environment. One at a
   * time, since the folder it is typed in is the process's.
   */
  type(args: readonly string[], options: TypeOptions = {}): Promise<Ended> {
    const ended = lastTyped.then(() => typed(this.folder, args, options))
    lastTyped = ended.catch(() => undefined)
    return ended
  }
}

let lastTyped: Promise<unknown> = Promise.resolve()

async function typed(
  folder: string,
  args: readonly string[],
  { stdin = '', env = {}, columns }: TypeOptions,
): Promise<Ended> {
  const [out, err]: [string[], string[]] = [[], []]
  const text = (lines: string[]) => lines.map((line) => `${line}\n`).join('')
  const [before, mask] = [process.cwd(), process.umask(0o077)]
  process.chdir(folder)
  try {
    const code = await runCli(args, undefined, {
      out: (line) => void out.push(line),
      err: (line) => void err.push(line),
      outDescriptor: 1,
      input: Readable.from([Buffer.from(stdin)]),
      inputIsTerminal: false,
      setRawInput: () => undefined,
      color: false,
      columns,
      env: readEnvironment({ PATH: process.env.PATH, HOME: folder, ...env }),
      cwd: folder,
      exitCode: 0,
    })
    return { code, signal: null, out: text(out), err: text(err) }
  } finally {
    process.chdir(before)
    process.umask(mask)
  }
}

/** As the first start of a panel makes it, for commands that need one. */
export const createPanelDatabase = async ({ folder }: Pick<Place, 'folder'>): Promise<void> =>
  (await openPanelDatabase(join(folder, 'iron_panel.db'))).close()

export function openPlace(): Place {
  const place = new Place()
  onTestFinished(async () => {
    for (const { child, ended } of place.runs) {
      child.kill('SIGKILL')
      await ended
    }
    rmSync(place.folder, { recursive: true, force: true, maxRetries: 5 })
  })
  return place
}
