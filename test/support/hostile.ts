/**
 * A project whose agent plants programs wherever a later start could run them, and an observer of what runs outside: the
 * processes of a command under strace, until each restricts itself.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { onTestFinished } from 'vitest'

const IRON_CAGE = resolve(import.meta.dirname, '../../bin/iron-cage.cjs')
/** That of the system: every user may run it, and it is outside every project. */
export const SYSTEM_PYTHON = realpathSync('/usr/bin/python3')
const LIBRARIES = `/usr/lib/${basename(SYSTEM_PYTHON)}`
/** An ordinary user, also where the tests are root's. */
const USER = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}

/** A process that has not ended by then hangs. */
const MAX_RUN_MS = 60_000

/** Leaves a file in the home, which a sandboxed program cannot. With modules that are part of the interpreter. */
const ESCAPE = (home: string) => `import posix
try:
    posix.close(posix.open(${JSON.stringify(join(home, 'escaped'))}, posix.O_WRONLY | posix.O_CREAT, 0o644))
except OSError:
    pass
`
const ESCAPING_SCRIPT = (home: string) =>
  `#!/bin/sh\ngrep -E '^(Seccomp|NoNewPrivs):' /proc/self/status >> ${join(home, 'escaped')} 2>/dev/null\nexec ${SYSTEM_PYTHON} "$@"\n`

export interface Hostile {
  home: string
  project: string
  /** True when something that an agent wrote ran without restrictions. */
  hasEscaped(): boolean
  write(path: string, content: string, mode?: number): void
  /** The sources that agents of these projects read: programs, and an interpreter's libraries, that leave `escaped`. */
  escapingScript: string
  /** Runs `iron-cage` as an ordinary user, whose all of this is from the first run on; resolves when it has ended. */
  run(words: readonly string[], options?: RunOptions): Promise<{ code: number | null; out: string }>
}

export interface RunOptions {
  env?: Record<string, string>
  /** Words before the program's. */
  under?: readonly string[]
  /** It gets the signal when it shows this text. */
  until?: RegExp
  /** (Default: SIGINT.) */
  signal?: NodeJS.Signals
}

/** `after`: of the test. (Default: of the one that runs, which is not known where several run at once.) */
export function openHostile(after: (clean: () => void) => void = onTestFinished): Hostile {
  // Not in /tmp, which is another one at strict.
  const base = realpathSync(mkdtempSync('/var/tmp/iron-cage-hostile-'))
  after(() => rmSync(base, { recursive: true, force: true }))
  const home = join(base, 'home')
  const project = join(home, 'project')
  mkdirSync(project, { recursive: true })
  mkdirSync(join(home, '.iron'))
  chmodSync(base, 0o755)
  const write = (path: string, content: string, mode = 0o644) => {
    const file = resolve(project, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content, { mode })
  }
  write('escape.py', ESCAPE(home))
  let isGiven = false
  return {
    ...{ home, project, write, escapingScript: ESCAPING_SCRIPT(home) },
    hasEscaped: () => existsSync(join(home, 'escaped')),
    async run(words, { env = {}, under = [], until, signal = 'SIGINT' } = {}) {
      if (!isGiven) giveAway(base)
      isGiven = true
      const [program = '', ...args] = [...under, process.execPath, IRON_CAGE, ...words]
      const variables = { HOME: home, PATH: '/usr/local/bin:/usr/bin:/bin', ...env }
      const child = spawn(program, args, {
        cwd: project,
        env: variables,
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
        ...USER,
      })
      let out = ''
      const hear = (piece: Buffer) => {
        out += piece.toString()
        // The whole group: strace keeps signals to itself.
        if (until?.test(out)) process.kill(-child.pid!, signal)
      }
      child.stdout.on('data', hear)
      child.stderr.on('data', hear)
      const tooLong = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), MAX_RUN_MS)
      const [code] = (await once(child, 'close')) as [number | null]
      clearTimeout(tooLong)
      return { code, out }
    },
  }
}

function giveAway(folder: string): void {
  if (USER.uid === undefined) return
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  for (const path of [
    folder,
    ...entries.filter((entry) => !entry.isSymbolicLink()).map((entry) => join(entry.parentPath, entry.name)),
  ]) {
    chownSync(path, USER.uid, USER.gid)
  }
}

/** Installs a Python at a prefix: its program is a copy, its libraries are the system's. */
export function installPython(prefix: string): string {
  mkdirSync(join(prefix, 'bin'), { recursive: true })
  mkdirSync(join(prefix, 'lib'), { recursive: true })
  const python = join(prefix, 'bin', basename(SYSTEM_PYTHON))
  copyFileSync(SYSTEM_PYTHON, python)
  symlinkSync(LIBRARIES, join(prefix, 'lib', basename(LIBRARIES)))
  for (const name of ['python', 'python3']) symlinkSync(basename(python), join(prefix, 'bin', name))
  return python
}

/** Makes a virtual environment of a Python, as uv does: without pip, with links. */
export function makeEnvironment(folder: string, python: string): void {
  mkdirSync(join(folder, 'bin'), { recursive: true })
  mkdirSync(join(folder, 'lib', basename(SYSTEM_PYTHON), 'site-packages'), { recursive: true })
  writeFileSync(join(folder, 'pyvenv.cfg'), `home = ${dirname(python)}\ninclude-system-site-packages = false\n`)
  symlinkSync(python, join(folder, 'bin/python'))
  for (const name of ['python3', basename(SYSTEM_PYTHON)]) symlinkSync('python', join(folder, 'bin', name))
}

/**
 * Libraries of a Python below the folder `fake`, whose first import leaves `escaped`. Returns the path for its `home`.
 */
export function writeLibraries({ project }: Hostile): string {
  const libraries = join(project, 'fake/lib', basename(LIBRARIES))
  for (const folder of [join(project, 'fake/bin'), join(libraries, 'encodings')]) mkdirSync(folder, { recursive: true })
  for (const folder of ['', 'encodings']) {
    for (const name of readdirSync(join(LIBRARIES, folder))) {
      const file = join(libraries, folder, name)
      if (!existsSync(file) && name !== '__pycache__') symlinkSync(join(LIBRARIES, folder, name), file)
    }
  }
  const start = join(libraries, 'encodings/__init__.py')
  rmSync(start)
  const usual = readFileSync(join(LIBRARIES, 'encodings/__init__.py'), 'utf8')
  writeFileSync(start, `${usual}\n${readFileSync(join(project, 'escape.py'), 'utf8')}`)
  return join(project, 'fake/bin')
}

/** The options of strace for `outsideActs`. */
export const STRACE = [
  ...['strace', '-f', '--seccomp-bpf', '-qq', '-y', '-s', '4096', '--pidns-translation', '--signal=none', '-e'],
  'trace=execve,execveat,openat,openat2,open,creat,mkdir,mkdirat,symlink,symlinkat,rename,renameat,renameat2,clone,clone3,fork,vfork,seccomp,landlock_restrict_self',
]

export interface Act {
  /** The program of the process. */
  program: string
  call: string
  path: string
  flags: string
}

/** The calls that name a path, of processes outside. */
export function outsideActs(trace: string): Act[] {
  const [inside, unfinished] = [new Set<string>(), new Map<string, string>()]
  const programs = new Map<string, string>()
  const acts: Act[] = []
  for (const line of trace.split('\n')) {
    const [, pid = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    let text = rest
    if (text.endsWith('<unfinished ...>')) {
      unfinished.set(pid, text.slice(0, -'<unfinished ...>'.length))
      // Its actions before the interrupt count as well.
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)
    if (resumed) {
      text = (unfinished.get(pid) ?? '') + resumed[1]
      unfinished.delete(pid)
    }
    const call = /^(\w+)\(/.exec(text)?.[1]
    if (call === undefined) continue
    const result = / = (-?\d+)/.exec(text.slice(text.lastIndexOf(') ')))?.[1]
    if (['clone', 'clone3', 'fork', 'vfork'].includes(call)) {
      const child = /\/\* (\d+) in strace's PID NS \*\//.exec(text)?.[1] ?? result
      if (child === undefined) continue
      if (inside.has(pid)) inside.add(child)
      programs.set(child, programs.get(pid) ?? '')
    } else if (call === 'landlock_restrict_self' || (call === 'seccomp' && text.includes('SECCOMP_SET_MODE_FILTER'))) {
      if (result !== undefined && Number(result) >= 0) inside.add(pid)
    } else if (!inside.has(pid)) {
      const program = programs.get(pid) ?? ''
      const found = actsOf(call, text)
      acts.push(...found.map((act) => ({ ...act, program })))
      if (call === 'execve' && result === '0') programs.set(pid, found[0]?.path ?? '')
    }
  }
  return acts
}

/** `-y` shows the folder that a path starts from, except of execve, which our programs call with absolute paths. */
function actsOf(call: string, text: string): Omit<Act, 'program'>[] {
  const found = /^\w+\((?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"(.*)$/.exec(text)
  if (!found) return []
  const [, folder = '/', name = '', flags = ''] = found
  return [{ call, path: resolve(folder, name), flags }]
}

/** True for a path that lies below `folder`, or is reached through it, or leads there. */
export function isReachedThrough(path: string, folder: string): boolean {
  if (`${path}/`.startsWith(`${folder}/`)) return true
  try {
    return `${realpathSync(path)}/`.startsWith(`${folder}/`)
  } catch {
    return false
  }
}
