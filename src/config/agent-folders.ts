/**
 * Where agents behind walls could write, and when: a configuration file that came or changed there may be an agent's work,
 * and is not read until somebody has said that it may be ("iron-cage config trust").
 *
 * The rules are:
 * - `~/.iron/agent-folders` has a line of JSON for each fact. No agent behind walls reaches it. A line is only ever added; what
 *   is about folders that are gone is left out when the file has grown.
 * - What counts is the time that the system keeps of a file's last change (ctime), which nobody can set.
 * - A server that was killed leaves its folders open until the next one begins: until then every change counts as an agent's.
 * - A file that was hidden from the agents while it stood there is not theirs, as long as it is the very same file: whoever
 *   edits it in place need not say anything. An editor that replaces it puts a file there that is not hidden.
 */
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve, sep } from 'node:path'
import { CageError } from '../errors.ts'

type Line =
  | { opened: string; folder: string; pid: number; at: number }
  | { closed: string; at: number }
  /** `files`: what each was when it was hidden, by its path. */
  | { hidden: string; files: Record<string, string> }
  | { trusted: string; sha256: string }

/** Above this, in bytes, folders that are gone are forgotten. */
const MAX_FILE_BYTES = 256 * 1024

export class AgentFolders {
  readonly #path: string
  /** By folder: the name of the time in which agents of this process may write there. */
  readonly #open = new Map<string, string>()

  /** `home`: the user's home folder. (Default: the one that the system knows.) */
  constructor(home = homedir()) {
    this.#path = join(home, '.iron', 'agent-folders')
  }

  /** From now on agents may write in these folders. Throws the system's error when that cannot be written down. */
  open(folders: readonly string[]): void {
    const added = folders.map(realPath).filter((folder) => !this.#open.has(folder))
    if (added.length === 0) return
    this.#closeLeftOpen()
    for (const folder of added) {
      const opened = `${process.pid}-${Date.now()}-${this.#open.size}`
      this.#append({ opened, folder, pid: process.pid, at: Date.now() })
      this.#open.set(folder, opened)
    }
  }

  /** The configuration files that these folders have now are hidden from all agents that may write there. */
  hide(folders: readonly string[], files: readonly string[]): void {
    const identities = files.flatMap((file) => {
      const identity = identityOf(file)
      return identity ? [[realPath(file), identity] as const] : []
    })
    for (const folder of folders) {
      const hidden = this.#open.get(realPath(folder))
      if (hidden && identities.length > 0) this.#append({ hidden, files: Object.fromEntries(identities) })
    }
  }

  /** No agent of this process is left. */
  close(): void {
    for (const closed of this.#open.values()) this.#append({ closed, at: Date.now() + 1 })
    this.#open.clear()
  }

  /** Asked after a file was read. Throws CageError `config_untrusted` when what was read may be an agent's work. */
  requireUntouched(file: string): void {
    const lines = this.#read()
    const [real, given] = [realPath(file), resolve(file)]
    const times = [lstatSync(given), statSync(given)].map(({ ctimeMs }) => ctimeMs)
    const touched = lines.find((line) => {
      if (!('opened' in line) || !(isBelow(real, line.folder) || isBelow(given, line.folder))) return false
      const closed = lines.find((other) => 'closed' in other && other.closed === line.opened) as
        | { at: number }
        | undefined
      if (!times.some((time) => time >= line.at && time <= (closed?.at ?? Number.POSITIVE_INFINITY))) return false
      const first = lines.find((other) => 'hidden' in other && other.hidden === line.opened && real in other.files)
      return !(first && 'hidden' in first && first.files[real] === identityOf(real))
    })
    if (!touched || !('opened' in touched)) return
    const sha256 = hashOf(real)
    const trust = lines.findLast((line) => 'trusted' in line && line.trusted === real)
    if (trust && 'trusted' in trust && trust.sha256 === sha256) return
    throw new CageError('config_untrusted', `${file} came or changed while an agent could write in ${touched.folder}`, {
      facts: { path: file },
      hint: `read it; then "iron-cage config trust ${file}", or move it away`,
    })
  }

  /** What the file holds now was read by somebody. Throws the system's error. */
  trust(file: string): void {
    const real = realpathSync(file)
    this.#append({ trusted: real, sha256: hashOf(real) })
  }

  /** Of servers that were killed. */
  #closeLeftOpen(): void {
    const lines = this.#read()
    const closed = new Set(lines.flatMap((line) => ('closed' in line ? [line.closed] : [])))
    for (const line of lines) {
      if ('opened' in line && !closed.has(line.opened) && !isRunning(line.pid)) {
        this.#append({ closed: line.opened, at: Date.now() })
      }
    }
    if (existsSync(this.#path) && statSync(this.#path).size > MAX_FILE_BYTES) this.#shorten()
  }

  #shorten(): void {
    const lines = this.#read()
    const gone = new Set(lines.flatMap((line) => ('opened' in line && !existsSync(line.folder) ? [line.opened] : [])))
    const isKept = (line: Line) =>
      'trusted' in line
        ? existsSync(line.trusted)
        : !gone.has('opened' in line ? line.opened : 'closed' in line ? line.closed : line.hidden)
    const draft = `${this.#path}.${process.pid}`
    writeFileSync(draft, lines.filter(isKept).map(textOf).join(''), { mode: 0o600 })
    renameSync(draft, this.#path)
  }

  #append(line: Line): void {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 })
    appendFileSync(this.#path, textOf(line), { mode: 0o600 })
    // Another process may have shortened it meanwhile.
    if (!this.#text().includes(textOf(line))) appendFileSync(this.#path, textOf(line), { mode: 0o600 })
  }

  #text(): string {
    return existsSync(this.#path) ? readFileSync(this.#path, 'utf8') : ''
  }

  #read(): Line[] {
    return this.#text()
      .split('\n')
      .flatMap((text) => {
        try {
          return [JSON.parse(text) as Line]
        } catch {
          // Nothing between two lines, or a line that was cut off.
          return []
        }
      })
  }
}

/** Begins a line of its own also after one that was cut off. */
const textOf = (line: Line): string => `\n${JSON.stringify(line)}\n`

/** Of this very file, also when its number was given to another one later. */
function identityOf(file: string): string | undefined {
  const stats = statSync(file, { throwIfNoEntry: false })
  return stats && `${stats.dev}-${stats.ino}-${stats.birthtimeMs}`
}

const hashOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')

const realPath = (path: string): string => (existsSync(path) ? realpathSync(path) : resolve(path))

const isBelow = (path: string, folder: string): boolean => path.startsWith(folder === sep ? sep : folder + sep)

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
