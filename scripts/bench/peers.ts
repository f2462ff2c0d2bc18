/** The gateways beside the cage, as far as `install-peers.sh` has installed them, each in front of the same provider. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Target } from './figures.ts'

const installed = resolve(import.meta.dirname, '../../.bench-peers')
/** LiteLLM does not start without one; of this run only. */
const KEY = `sk-${randomBytes(32).toString('hex')}`
const READY_WITHIN_MS = 120_000

export interface Peer extends Target {
  /** From its start until it took a connection. */
  readyMs: number
}

/** Starts those that are there, adds them to `children`, and waits until they listen. Their output goes into `folder`. */
export async function startPeers(provider: string, folder: string, children: ChildProcess[]): Promise<Peer[]> {
  const peers: Peer[] = []
  const portkey = join(installed, 'portkey/node_modules/@portkey-ai/gateway/build/start-server.js')
  if (existsSync(portkey)) {
    const headers = { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `${provider}/v1` }
    peers.push(
      await startPeer(
        'portkey',
        folder,
        children,
        (port) => [process.execPath, portkey, '--headless', `--port=${port}`],
        headers,
      ),
    )
  }
  const litellm = join(installed, 'litellm/bin/litellm')
  if (existsSync(litellm)) {
    const config = join(folder, 'litellm.yaml')
    const parameters = `{ model: openai/gpt-4o-mini, api_base: "${provider}/v1", api_key: bench }`
    writeFileSync(config, `model_list: [{ model_name: gpt-4o-mini, litellm_params: ${parameters} }]\n`)
    const command = [litellm, '--config', config, '--host', '127.0.0.1', '--num_workers', '1', '--telemetry', 'False']
    peers.push(
      await startPeer('litellm', folder, children, (port) => [...command, '--port', `${port}`], {
        authorization: `Bearer ${KEY}`,
      }),
    )
  }
  return peers
}

async function startPeer(
  name: string,
  folder: string,
  children: ChildProcess[],
  command: (port: number) => string[],
  headers: Record<string, string>,
): Promise<Peer> {
  const port = await freePort()
  const [program, ...args] = command(port) as [string, ...string[]]
  const outputFile = join(folder, `${name}.txt`)
  const output = openSync(outputFile, 'w')
  const startedAt = performance.now()
  // Prices from its own package in place of a download; no line for each call, as in production.
  const env = {
    ...process.env,
    LITELLM_LOCAL_MODEL_COST_MAP: 'True',
    LITELLM_LOG: 'ERROR',
    LITELLM_MASTER_KEY: KEY,
    NODE_ENV: 'production',
  }
  const child = spawn(program, args, { stdio: ['ignore', output, output], cwd: folder, env })
  children.push(child)
  while (!(await accepts(port))) {
    if (child.exitCode !== null || performance.now() - startedAt > READY_WITHIN_MS) {
      throw new Error(`${name} did not start: ${readFileSync(outputFile, 'utf8').slice(-2_000)}`)
    }
    await setTimeout(5)
  }
  const readyMs = performance.now() - startedAt
  const url = `http://127.0.0.1:${port}/v1/chat/completions`
  return { name, pid: child.pid!, url, headers, readyMs }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => server.once('listening', done))
  const { port } = server.address() as { port: number }
  await new Promise((done) => server.close(done))
  return port
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => done(true)).once('error', () => done(false))
    socket.once('connect', () => socket.destroy())
  })
}
