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
  /** The address of a new, empty database, for its owner, who is no superuser: row-level security counts. */
  newDatabase(): Promise<string>
  /** Ends every process at once, as a power failure does. Resolves when they are gone. */
  crash(): Promise<void>
  start(): Promise<void>
  /** Stops it and removes its folder. */
  remove(): Promise<void>
}

/** Throws Error when PostgreSQL is not installed. */
export async function startCluster(): Promise<Cluster> {
  const programs = findPrograms()
  const owner: { uid?: number; gid?: number } = process.getuid?.() === 0 ? postgresUser() : {}
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-postgres-'))
  if (owner.uid !== undefined) chownSync(folder, owner.uid, owner.gid!)
  const data = join(folder, 'data')
  const options = { ...owner, cwd: folder }
  execFileSync(
    join(programs, 'initdb'),
    ['-D', data, '-A', 'trust', '-U', 'postgres', '--no-locale', '-E', 'UTF8', '--no-sync'],
    { ...options, stdio: 'ignore' },
  )
  const port = await freePort()
  const settings = [
    'listen_addresses=127.0.0.1',
    `unix_socket_directories=${folder}`,
    'fsync=off',
    'max_connections=200',
  ]
  const args = ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])]
  let server: ChildProcess | undefined
  const start = async () => {
    server = spawn(join(programs, 'postgres'), args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] })
    await ready(server)
  }
  const stop = async (signal: NodeJS.Signals) => {
    if (!server || server.exitCode !== null || server.signalCode !== null) return
    const gone = new Promise((resolve) => server!.once('exit', resolve))
    server.kill(signal)
    await gone
  }
  await start()
  const address = (user: string, name: string) => `postgres://${user}@127.0.0.1:${port}/${name}`
  const asSuperuser = async (statement: string) => {
    const client = new pg.Client(address('postgres', 'postgres'))
    await client.connect()
    await client.query(statement)
    await client.end()
  }
  await asSuperuser('CREATE ROLE panel LOGIN')
  let databases = 0
  return {
    newDatabase: async () => {
      const name = `test_${++databases}`
      await asSuperuser(`CREATE DATABASE ${name} OWNER panel`)
      return address('panel', name)
    },
    crash: () => stop('SIGQUIT'),
    start,
    remove: async () => {
      await stop('SIGQUIT')
      rmSync(folder, { recursive: true, force: true })
    },
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

/** Resolves when the server accepts connections; rejects with what it printed when it ends. */
function ready(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let printed = ''
    server.stderr!.on('data', (chunk: Buffer) => {
      printed = (printed + chunk.toString()).slice(-10_000)
      if (printed.includes('ready to accept connections')) resolve()
    })
    server.once('exit', () => reject(new Error(`PostgreSQL did not start: ${printed}`)))
  })
}
