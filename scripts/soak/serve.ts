/** The built server, in a separate process and on a database in `folder`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Served {
  /** http://127.0.0.1:port */
  url: string
  /** The operator's. */
  token: string
  stop: () => Promise<void>
}

export async function serve(folder: string): Promise<Served> {
  const config = join(folder, 'iron-cage.yaml')
  const path = join(folder, 'state.db')
  writeFileSync(config, JSON.stringify({ db: { path }, server: { port: 0 }, log: { dir: join(folder, 'logs') } }))
  const program = resolve(import.meta.dirname, '../../bin/iron-cage.cjs')
  const words = [program, 'serve', '--until-stdin-ends', '--config', config]
  const child = spawn(process.execPath, words, { cwd: folder, stdio: ['pipe', 'ignore', 'inherit'] })
  const ended = once(child, 'exit')
  const file = `${path}.server`
  const read = () => (existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Served) : undefined)
  while (!read()?.url) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`)
    await sleep(20)
  }
  const { url, token } = read()!
  const stop = async () => {
    child.stdin.end()
    await ended
  }
  return { url: url.replace('localhost', '127.0.0.1'), token, stop }
}
