/** Does this machine meet the needs of the program and its agents? */
import { execFile } from 'node:child_process'
import { accessSync, constants, statfsSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import Sqlite from 'better-sqlite3'
import { readServerFile } from '../../../access/server-file.ts'
import { openPriceList } from '../../../budget/pinned-list.ts'
import { AgentFolders } from '../../../config/agent-folders.ts'
import { systemClock } from '../../../core/clock.ts'
import { packageFolder } from '../../../core/package-folder.ts'
import { readProcessTable } from '../../../core/process-table.ts'
import { ask } from '../../../sandbox/ask.ts'
import { launcherPython } from '../../../sandbox/cage.ts'
import { CONTROLLER, explainMachine } from '../../../sandbox/machine.ts'
import { type Check, type CheckResult, fail, isAtLeast, ok, type Subject, warn } from './check.ts'

const MIN_NODE = '22.21'
/** Before it, SQLite could lose the newest pages of a WAL. */
const MIN_SQLITE = '3.51.3'
const MIN_PYTHON = '3.9'
const MIN_FREE_MB = 200
const OLD_LIST_DAYS = 180

export const machineChecks: readonly Check[] = [
  {
    name: 'Node',
    look: () => {
      const version = process.versions.node
      return isAtLeast(version, MIN_NODE)
        ? ok(version)
        : fail(`${version} is older than ${MIN_NODE}`, 'install Node 24')
    },
  },
  {
    name: 'SQLite',
    look: () => {
      const database = new Sqlite(':memory:')
      const version = database.prepare('SELECT sqlite_version()').pluck().get() as string
      database.close()
      return isAtLeast(version, MIN_SQLITE)
        ? ok(version)
        : fail(`${version} can lose the latest writes`, 'install the dependencies again with npm ci')
    },
  },
  { name: 'Python', look: (subject) => lookAtPython(subject) },
  { name: 'Python SDK', look: (subject) => lookAtSdk(subject) },
  { name: 'Walls', look: (subject) => lookAtWalls(subject) },
  {
    name: 'Shell tools',
    look: async () => {
      const missing: string[] = []
      for (const tool of ['sh', 'grep']) {
        const script = ['-c', `command -v ${tool}`]
        await run('/bin/sh', script, { env: { PATH: '/usr/local/bin:/usr/bin:/bin' } }).catch(() => missing.push(tool))
      }
      return missing.length === 0
        ? ok('sh and grep are available for the watchdog of each agent')
        : fail(`${missing.join(', ')} not found`, 'install them: without a watchdog agents outlive a killed server')
    },
  },
  {
    name: 'Process table',
    look: async () => {
      const isThere = (await readProcessTable()).some(({ pid }) => pid === process.pid)
      return isThere
        ? ok('readable')
        : fail('this program is not in it', 'give this user a /proc, or ps, that shows its own processes')
    },
  },
  { name: 'Port on 127.0.0.1', look: (subject) => lookAtPort(subject, '127.0.0.1') },
  { name: 'Port on [::1]', look: (subject) => lookAtPort(subject, '::1') },
  {
    name: 'Folder',
    look: ({ loaded }) => {
      const folder = dirname(resolve(loaded.config.db.path))
      try {
        accessSync(folder, constants.W_OK)
        return ok(`${folder} is writable`)
      } catch {
        return fail(`cannot write to ${folder}`, 'choose another path with --db')
      }
    },
  },
  {
    name: 'Disk',
    look: ({ loaded }) => {
      const { bavail, bsize } = statfsSync(dirname(resolve(loaded.config.db.path)))
      const free = Math.floor((bavail * bsize) / 1e6)
      return free >= MIN_FREE_MB
        ? ok(free < 10_000 ? `${free} MB free` : `${Math.round(free / 1_000)} GB free`)
        : fail(`${free} MB free`, `free at least ${MIN_FREE_MB} MB: a full disk stops every call`)
    },
  },
  {
    name: 'Price list',
    look: ({ loaded }) => {
      const list = openPriceList(loaded.config.price_list)
      const days = list.ageDays(systemClock.now())
      if (days < 0)
        return warn(`${list.name} is of ${list.date}, which is in the future`, 'set the clock of this machine')
      return days <= OLD_LIST_DAYS
        ? ok(`${list.name}, ${days} days old`)
        : warn(`${list.name} is ${days} days old`, 'run "iron-cage prices update"')
    },
  },
]

const LEVELS = ['observe', 'standard', 'strict'] as const

const run = promisify(execFile)

/** As an agent's would be chosen, but for a virtual environment beside a script. */
function pythonOf({ loaded, terminal }: Subject): string {
  const { VIRTUAL_ENV } = terminal.env.variables
  return loaded.config.agent.python ?? (VIRTUAL_ENV ? join(VIRTUAL_ENV, 'bin', 'python') : 'python3')
}

/** What `ask` and the choice of a launcher need to know. */
function placeOf({ loaded, terminal }: Subject) {
  const { sandbox: settings, cwd } = loaded.config.agent
  const environment = terminal.env.variables
  const agentFolders = new AgentFolders(environment.HOME).folders
  return { settings, cwd: resolve(terminal.cwd, cwd ?? '.'), environment, agentFolders }
}

function lookAtPython(subject: Subject): CheckResult {
  const program = pythonOf(subject)
  const args = ['-c', 'import sys; print("%d.%d.%d" % sys.version_info[:3])']
  const version = ask({ ...placeOf(subject), program, args })?.trim()
  if (version === undefined) return fail(`${program} does not run`, 'install Python 3, or choose one with --python')
  return isAtLeast(version, MIN_PYTHON)
    ? ok(`${version} (${program})`)
    : fail(`${program} is ${version}, older than ${MIN_PYTHON}`, 'choose a newer one with --python')
}

function lookAtSdk(subject: Subject): CheckResult {
  const place = placeOf(subject)
  const environment = { ...place.environment, PYTHONPATH: `${packageFolder()}python/shim` }
  const said = ask({ ...place, environment, program: pythonOf(subject), args: ['-c', 'import iron_cage'] })
  return said === undefined
    ? fail('an agent cannot import iron_cage', 'unset what hides PYTHONPATH, such as PYTHONSAFEPATH or python -I')
    : ok('an agent can import iron_cage')
}

/** The possible restrictions of agents, and the missing conditions for more. */
async function lookAtWalls(subject: Subject): Promise<CheckResult> {
  const { loaded, terminal } = subject
  const { level } = loaded.config.agent.sandbox
  const refuse = level === 'off' || level === 'auto' ? warn : fail
  if (process.platform !== 'linux') {
    return refuse('none: they are those of the Linux kernel', 'run agents that you do not trust in a Linux VM')
  }
  const python = launcherPython({ ...placeOf(subject), command: { program: pythonOf(subject), args: [] } })
  if (python === undefined) {
    return refuse(
      'none: there is no python3 to build them that no agent may write',
      'install the Python 3 of the system',
    )
  }
  const { landlock_abi: abi, levels, hide, groups, fix } = await explainMachine(python, terminal.env.variables)
  const has = LEVELS.filter((name) => levels[name] === null)
  const missing = LEVELS.filter((name) => levels[name] !== null).map((name) => `${name} cannot be had: ${levels[name]}`)
  const gaps = [
    ...missing,
    ...(abi < 6 && has.includes('standard')
      ? ['signals to your other processes are not stopped (Landlock ABI 6 is)']
      : []),
    ...(hide === null
      ? []
      : [`files of the server are not hidden in an agent's folder (${hide}): keep --db elsewhere`]),
    ...(groups.length === CONTROLLER.options.length
      ? []
      : [`one agent can slow another down (control groups: ${groups.join(', ') || 'none'})`]),
  ]
  const what = `${has.join(', ') || 'none'} (Landlock ABI ${abi})`
  const fault = new AgentFolders(terminal.env.variables.HOME).fault
  if (fault !== undefined) {
    const why = `${what}, but standard and strict are refused: the folders of agents cannot be recorded (${fault})`
    return refuse(why, 'set HOME to a folder that can be written')
  }
  if (gaps.length === 0) return ok(what)
  const isMissing = level !== 'off' && level !== 'auto' && levels[level] !== null
  return (isMissing ? fail : warn)(`${what}; ${gaps.join('; ')}`, fix ?? 'use a newer kernel')
}

/** A port that our own server has is as good as a free one. */
async function lookAtPort({ loaded }: Subject, host: string): Promise<CheckResult> {
  const { port } = loaded.config.server
  const server = await readServerFile(loaded.config.db.path)
  const name = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  if (server?.url && Number(new URL(server.url).port) === port) return ok(`${name} is our own server's`)
  const fault = await new Promise<string | undefined>((answer) => {
    const probe = createServer().once('error', (error: NodeJS.ErrnoException) => answer(error.code))
    probe.listen({ host, port, ipv6Only: true }, () => probe.close(() => answer(undefined)))
  })
  if (fault === undefined) return ok(`${name} is free`)
  if (fault === 'EADDRINUSE') return fail(`${name} is taken by another program`, 'choose another with --port')
  if (host === '::1') return warn(`${name} cannot be used (${fault})`, 'nothing, unless this machine should have IPv6')
  return fail(`${name} cannot be used (${fault})`, 'choose another with --port')
}
