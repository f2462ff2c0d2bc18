/** A server of its own for the booth: this program in another process, on a separate database. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readServerFile } from '../access/server-file.ts'
import type { Clock } from '../core/clock.ts'
import { isSingleExecutable, packageFolder } from '../core/package-folder.ts'

export interface BoothServer {
  /** http://127.0.0.1:port */
  url: string
  pid: number
  /** Sends a request as the operator. Throws Error for any status but 2xx. */
  ask<T>(method: 'GET' | 'POST', path: string, body?: object): Promise<T>
  /** Kills it with SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
}

/** The name of its provider and of the only model. */
export const BOOTH = 'booth'

const POLL_INTERVAL_MS = 20
const START_TIMEOUT_MS = 20_000

export const databaseIn = (folder: string): string => join(folder, 'booth.db')

/** Throws Error when it does not start. */
export async function openBoothServer(
  folder: string,
  providerUrl: string,
  clock: Pick<Clock, 'sleep'>,
): Promise<BoothServer> {
  const config = join(folder, 'iron-cage.yaml')
  writeFileSync(
    config,
    JSON.stringify({
      db: { path: databaseIn(folder) },
      server: { port: 0 },
      log: { dir: join(folder, 'logs') },
      providers: { [BOOTH]: { base_url: providerUrl, retries: 0 } },
      // A tenth of a cent for each token of output.
      prices: { [`${BOOTH}/${BOOTH}`]: { input_per_mtok: 0, output_per_mtok: 1_000 } },
    }),
  )
  const words = ['serve', '--until-stdin-ends', '--config', config]
  const program = isSingleExecutable() ? words : [`${packageFolder()}dist/iron-cage.mjs`, ...words]
  // Nothing of this process: neither its keys nor its settings.
  const environment = { HOME: folder, PATH: '/usr/bin:/bin' }
  const child = spawn(process.execPath, program, { cwd: folder, env: environment, stdio: ['pipe', 'ignore', 'ignore'] })
  const { url, token } = await published(child, folder, clock)
  return {
    url,
    pid: child.pid!,
    async ask<T>(method: 'GET' | 'POST', path: string, body?: object) {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const response = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
      return (await response.json()) as T
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Where it listens, which it writes beside its database. Throws Error when it does not start. */
async function published(
  child: ChildProcess,
  folder: string,
  clock: Pick<Clock, 'sleep'>,
): Promise<{ url: string; token: string }> {
  for (let waited = 0; waited < START_TIMEOUT_MS; waited += POLL_INTERVAL_MS) {
    if (child.exitCode !== null) throw new Error(`the booth's server ended with ${child.exitCode}`)
    // A killed server leaves its file.
    const file = await readServerFile(databaseIn(folder))
    if (file && file.pid === child.pid && file.url)
      return { url: file.url.replace('localhost', '127.0.0.1'), token: file.token }
    await clock.sleep(POLL_INTERVAL_MS)
  }
  child.kill('SIGKILL')
  throw new Error("the booth's server did not start")
}
