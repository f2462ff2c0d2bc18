/**
 * Records where and when sandboxed agents could write. A configuration file that was created or changed there may be an
 * agent's work, and is not read until a person trusts it ("iron-cage config trust").
 *
 * The rules are:
 * - `~/.iron/agent-folders` has a line of JSON per fact, and no sandboxed agent can access it. Lines are only appended;
 *   those about deleted folders are dropped when the file has grown.
 * - The time of a file's last change is its ctime, which programs cannot set.
 * - A killed server leaves its folders open until the next server starts: until then every change counts as an agent's.
 * - A file that was hidden from the agents is not theirs as long as it is the same file: editing it in place
 *   needs no trust. An editor that replaces the file creates one that is not hidden.
 */
import { createHash } from 'node:crypto'
import {
  accessSync,
  appendFileSync,
  constants,
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
import { CageError } from '../core/errors.ts'
import { realPath } from '../core/paths.ts'

type FolderRecord =
  | { opened: string; folder: string; pid: number; at: number }
  | { closed: string; at: number }
  /** `files`: identity of each file when it was hidden, by path. */
  | { hidden: string; files: Record<string, string> }
  | { trusted: string; sha256: string }

/** Size above which lines about deleted folders are dropped, in bytes. */
const MAX_FILE_BYTES = 256 * 1024

export class AgentFolders {
  readonly #path: string
  /** By folder: the id of the time span in which agents of this process may write there. */
  readonly #open = new Map<string, string>()

  /** `home`: the user's home folder. (Default: that of the system.) */
  constructor(home = homedir()) {
    this.#path = join(home, '.iron', 'agent-folders')
  }

  /** Why folders cannot be recorded; undefined when they can. */
  get fault(): string | undefined {
    const folder = dirname(this.#path)
    try {
      accessSync([this.#path, folder, dirname(folder)].find(existsSync) ?? sep, constants.W_OK)
      // The slash asks for a folder.
      if (existsSync(folder)) accessSync(folder + sep)
      return undefined
    } catch (error) {
      return (error as Error).message
    }
  }

  /** Where agents may write, or could at some time. */
  get folders(): string[] {
    return [...new Set(spansOf(this.#read()).map(({ folder }) => folder))]
  }

  /** Agents may write in these folders from now on. Throws the system's error when this cannot be recorded. */
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

  /** Marks these folders' configuration files as hidden from all agents that may write there. */
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

  /** Call when no agent of this process is left. */
  close(): void {
    for (const closed of this.#open.values()) this.#append({ closed, at: Date.now() + 1 })
    this.#open.clear()
  }

  /** Call after a file was read. Throws CageError `config_untrusted` when its content may be an agent's work. */
  requireUntouched(file: string): void {
    const lines = this.#read()
    const [real, given] = [realPath(file), resolve(file)]
    const [ofLink, ofFile] = [lstatSync(given).ctimeMs, statSync(given).ctimeMs]
    const touched = spansOf(lines).find(({ folder, from, until, hidden }) => {
      if (!isBelow(real, folder) && !isBelow(given, folder)) return false
      // The agent could not change a target elsewhere, only the link to it.
      const times = isBelow(real, folder) ? [ofLink, ofFile] : [ofLink]
      if (!times.some((time) => time >= from && time <= until)) return false
      return !(real in hidden && hidden[real] === identityOf(real))
    })
    if (!touched) return
    // A FIFO or device has no content to trust.
    const sha256 = statSync(real).isFile() ? fileHash(real) : undefined
    const trust = lines.findLast((line) => 'trusted' in line && line.trusted === real)
    if (trust && 'trusted' in trust && trust.sha256 === sha256) return
    throw new CageError(
      'config_untrusted',
      `${file} was created or changed while an agent could write in ${touched.folder}`,
      {
        facts: { path: file },
        hint: `read it; then "iron-cage config trust ${file}", or move it away`,
      },
    )
  }

  /** Trusts the file's current content. Throws the system's error. */
  trust(file: string): void {
    const real = realpathSync(file)
    this.#append({ trusted: real, sha256: fileHash(real) })
  }

  /** Closes folders that killed servers left open. */
  #closeLeftOpen(): void {
    for (const { id, pid, until } of spansOf(this.#read())) {
      if (until === Number.POSITIVE_INFINITY && !isRunning(pid)) this.#append({ closed: id, at: Date.now() })
    }
    if (existsSync(this.#path) && statSync(this.#path).size > MAX_FILE_BYTES) this.#shorten()
  }

  #shorten(): void {
    const lines = this.#read()
    const gone = new Set(lines.flatMap((line) => ('opened' in line && !existsSync(line.folder) ? [line.opened] : [])))
    const isKept = (line: FolderRecord) =>
      'trusted' in line
        ? existsSync(line.trusted)
        : !gone.has('opened' in line ? line.opened : 'closed' in line ? line.closed : line.hidden)
    const draft = `${this.#path}.${process.pid}`
    writeFileSync(draft, lines.filter(isKept).map(textOf).join(''), { mode: 0o600 })
    renameSync(draft, this.#path)
  }

  #append(line: FolderRecord): void {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 })
    appendFileSync(this.#path, textOf(line), { mode: 0o600 })
    // Another process may have shortened the file in the meantime.
    if (!this.#text().includes(textOf(line))) appendFileSync(this.#path, textOf(line), { mode: 0o600 })
  }

  #text(): string {
    return existsSync(this.#path) ? readFileSync(this.#path, 'utf8') : ''
  }

  #read(): FolderRecord[] {
    return this.#text()
      .split('\n')
      .flatMap((text) => {
        try {
          return [JSON.parse(text) as FolderRecord]
        } catch {
          // An empty line, or a truncated one.
          return []
        }
      })
  }
}

/** A time in which agents could write in a folder, in ms since 1970; `until` is Infinity while they can. */
interface Span {
  id: string
  folder: string
  pid: number
  from: number
  until: number
  /** Identity of each file when it was first hidden, by path. */
  hidden: Record<string, string>
}

function spansOf(lines: readonly FolderRecord[]): Span[] {
  const spans = new Map<string, Span>()
  for (const line of lines) {
    if ('opened' in line) {
      const { opened: id, folder, pid, at: from } = line
      spans.set(id, { id, folder, pid, from, until: Number.POSITIVE_INFINITY, hidden: {} })
    } else if ('closed' in line) {
      const span = spans.get(line.closed)
      if (span) span.until = Math.min(span.until, line.at)
    } else if ('hidden' in line) {
      const span = spans.get(line.hidden)
      if (span) span.hidden = { ...line.files, ...span.hidden }
    }
  }
  return [...spans.values()]
}

/** Starts with a line break, since the line before may be truncated. */
const textOf = (line: FolderRecord): string => `\n${JSON.stringify(line)}\n`

/** Identifies a file, even if its inode number is reused later. */
function identityOf(file: string): string | undefined {
  const stats = statSync(file, { throwIfNoEntry: false })
  return stats && `${stats.dev}-${stats.ino}-${stats.birthtimeMs}`
}

const fileHash = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')

const isBelow = (path: string, folder: string): boolean => path.startsWith(folder === sep ? sep : folder + sep)

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
