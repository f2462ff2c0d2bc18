/**
 * A PostgreSQL cluster of its own in a temporary folder, for tests and long runs. Debian's package brings the programs;
 * they refuse to run as root, which then starts them as the package's user.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { freePort } from '../support/free-port.ts'

export interface Cluster {
  /** For PostgreSQL's own programs, as a superuser of this cluster. */
  environment: Record<string, string>
  /** The address of a new, empty database, for its owner, who is no superuser: row-level security counts. */
  newDatabase(): Promise<string>
  /** Ends every process at once, as a power failure does. Resolves when they are gone. */
  crash(): Promise<void>
  start(): Promise<void>
  /** Copies its files while it is down, as a snapshot of its disk. Returns a function that puts them back. */
  snapshot(): Promise<() => Promise<void>>
  /** A second server that follows this one asynchronously, and stays behind from now on. */
  follower(): Promise<Follower>
  /** A second server, on a folder of files. Returns its port. */
  startOn(files: string): Promise<number>
  /** Stops it and removes its folder. */
  remove(): Promise<void>
}

export interface Follower {
  /**
   * Starts it without the server that it followed: commits that it did not receive are lost. Returns the address of a
   * database on it.
   */
  promote(address: string): Promise<string>
}

/** `fsync`: `on` writes commits to the disk. (Default: `off`.) Throws Error when PostgreSQL is not installed. */
export async function startCluster({ fsync = 'off' }: { fsync?: 'on' | 'off' } = {}): Promise<Cluster> {
  const programs = findPrograms()
  const owner: { uid?: number; gid?: number } = process.getuid?.() === 0 ? postgresUser() : {}
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-postgres-'))
  if (owner.uid !== undefined) chownSync(folder, owner.uid, owner.gid!)
  const options = { ...owner, cwd: folder }
  const run = (program: string, ...args: string[]) =>
    execFileSync(join(programs, program), args, { ...options, stdio: 'ignore' })
  const data = join(folder, 'data')
  run('initdb', '-D', data, '-A', 'trust', '-U', 'postgres', '--no-locale', '-E', 'UTF8', '--no-sync')
  const serverOf = async (files: string): Promise<Server> =>
    new Server(join(programs, 'postgres'), files, await freePort(), { ...options, fsync })
  const server = await serverOf(data)
  const servers = [server]
  await server.start()
  await asSuperuser(server.port, 'CREATE ROLE owner LOGIN')
  let databases = 0
  const environment = {
    PATH: `${programs}:${process.env.PATH}`,
    PGHOST: '127.0.0.1',
    PGPORT: String(server.port),
    PGUSER: 'postgres',
  }
  return {
    environment,
    newDatabase: async () => {
      const name = `test_${++databases}`
      await asSuperuser(server.port, `CREATE DATABASE ${name} OWNER owner`)
      return addressOf(server.port, 'owner', name)
    },
    crash: () => server.stop(),
    start: () => server.start(),
    snapshot: async () => {
      const copy = `${data}.snapshot`
      await server.stop()
      copyFolder(data, copy, options)
      await server.start()
      return async () => {
        await server.stop()
        rmSync(data, { recursive: true })
        copyFolder(copy, data, options)
        await server.start()
      }
    },
    follower: async () => {
      const files = `${data}.follower`
      run(
        'pg_basebackup',
        '-h',
        '127.0.0.1',
        '-p',
        String(server.port),
        '-U',
        'postgres',
        '-D',
        files,
        '-R',
        '-c',
        'fast',
      )
      return {
        promote: async (address) => {
          const promoted = await serverOf(files)
          servers.push(promoted)
          await promoted.start()
          await asSuperuser(promoted.port, 'SELECT pg_promote()')
          return address.replace(`:${server.port}/`, `:${promoted.port}/`)
        },
      }
    },
    startOn: async (files) => {
      if (owner.uid !== undefined) execFileSync('chown', ['-R', `${owner.uid}:${owner.gid}`, files])
      const second = await serverOf(files)
      servers.push(second)
      await second.start()
      return second.port
    },
    remove: async () => {
      for (const one of servers) await one.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** As the user that runs the server: files keep their owner. */
const copyFolder = (from: string, to: string, options: { cwd: string }) =>
  execFileSync('cp', ['-a', from, to], { ...options, stdio: 'ignore' })

const addressOf = (port: number, user: string, name: string) => `postgres://${user}@127.0.0.1:${port}/${name}`

async function asSuperuser(port: number, statement: string): Promise<void> {
  const client = new pg.Client(addressOf(port, 'postgres', 'postgres'))
  await client.connect()
  await client.query(statement)
  await client.end()
}

/** One server process on a folder of data. */
class Server {
  readonly port: number
  readonly #program: string
  readonly #args: string[]
  readonly #options: { cwd: string }
  #process: ChildProcess | undefined

  constructor(program: string, data: string, port: number, options: { cwd: string; fsync: 'on' | 'off' }) {
    const settings = [
      'listen_addresses=127.0.0.1',
      `unix_socket_directories=${options.cwd}`,
      `fsync=${options.fsync}`,
      'max_connections=200',
    ]
    this.#program = program
    this.#args = ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])]
    this.#options = options
    this.port = port
  }

  async start(): Promise<void> {
    this.#process = spawn(this.#program, this.#args, { ...this.#options, stdio: ['ignore', 'ignore', 'pipe'] })
    await ready(this.#process)
  }

  /** At once, as by a power failure. */
  async stop(): Promise<void> {
    const server = this.#process
    if (!server || server.exitCode !== null || server.signalCode !== null) return
    const gone = new Promise((resolve) => server.once('exit', resolve))
    server.kill('SIGQUIT')
    await gone
  }
}

function findPrograms(): string {
  const root = '/usr/lib/postgresql'
  try {
    const [newest] = readdirSync(root).sort((one, other) => Number(other) - Number(one))
    if (newest !== undefined) return join(root, newest, 'bin')
  } catch {}
  throw new Error('these tests need PostgreSQL: scripts/setup-tests.sh installs it, or "apt-get install postgresql"')
}

function postgresUser(): { uid: number; gid: number } {
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

/** Resolves when the server accepts connections; rejects with its output when it ends. */
function ready(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let printed = ''
    server.stderr!.on('data', (chunk: Buffer) => {
      printed = (printed + chunk.toString()).slice(-10_000)
      if (/ready to accept (read-only )?connections/.test(printed)) resolve()
    })
    server.once('exit', () => reject(new Error(`PostgreSQL did not start: ${printed}`)))
  })
}
