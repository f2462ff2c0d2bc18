/** A Redis of its own in a temporary folder, for tests. Debian's package brings the program. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { freePort } from '../support/free-port.ts'

export interface TestRedis {
  port: number
  url: string
  start(): Promise<void>
  /** Ends it at once. */
  kill(): Promise<void>
  /** It accepts connections and answers nothing, until `thaw`. */
  freeze(): void
  thaw(): void
}

const TLS = join(import.meta.dirname, '../support/tls')

/** It does not run before `start`, and ends with the test. */
export async function openRedis({
  password,
  tls = false,
}: {
  password?: string
  tls?: boolean
} = {}): Promise<TestRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-redis-'))
  const port = await freePort()
  const args = ['--bind', '127.0.0.1', '--save', '', '--dir', folder, tls ? '--tls-port' : '--port', String(port)]
  if (password !== undefined) args.push('--requirepass', password)
  if (tls) {
    const [certificate, key] = [join(TLS, 'cert.pem'), join(TLS, 'key.pem')]
    args.push('--port', '0', '--tls-auth-clients', 'no')
    args.push('--tls-cert-file', certificate, '--tls-key-file', key, '--tls-ca-cert-file', certificate)
  }
  let server: ChildProcess | undefined
  const kill = async () => {
    if (!server || server.exitCode !== null || server.signalCode !== null) return
    const gone = new Promise((resolve) => server!.once('exit', resolve))
    server.kill('SIGKILL')
    await gone
  }
  onTestFinished(async () => {
    await kill()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    port,
    url: `${tls ? 'rediss' : 'redis'}://127.0.0.1:${port}`,
    start: async () => {
      server = spawn('redis-server', args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
      await ready(server)
    },
    kill,
    freeze: () => void server!.kill('SIGSTOP'),
    thaw: () => void server!.kill('SIGCONT'),
  }
}

/** Resolves when it accepts connections; rejects with its output when it ends. */
function ready(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let printed = ''
    server.stdout!.on('data', (chunk: Buffer) => {
      printed = (printed + chunk.toString()).slice(-10_000)
      if (printed.includes('Ready to accept connections')) resolve()
    })
    server.once('error', () =>
      reject(
        new Error('these tests need Redis: scripts/setup-tests.sh installs it, or "apt-get install redis-server"'),
      ),
    )
    server.once('exit', () => reject(new Error(`Redis did not start: ${printed}`)))
  })
}
