/**
 * What each step of a call costs: the same server with its road cut short behind one step after the other, in turns on one provider.
 * Each row has all steps of those above it. Prints the processor time of the main thread, in microseconds a call.
 *
 *   node scripts/bench/steps.ts [rounds] [KB of the request]     (Default: 9 rounds, 1 KB.)
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Agent, request } from 'undici'
import { systemClock } from '../../src/core/clock.ts'
import { findRoute, normalizePath } from '../../src/dialects/routes.ts'
import { readRequest } from '../../src/gateway/bodies/request-body.ts'
import { identifyCaller, readAddress, sentKeys } from '../../src/gateway/caller.ts'
import { ClientConnection, readBody } from '../../src/gateway/provider/client.ts'
import { SealedOriginals } from '../../src/gateway/redaction/sealed-originals.ts'
import { chatRequest, openCallDeps, V8_FLAGS } from './call-deps.ts'
import { cpuSeconds, median } from './figures.ts'

const STEPS = [
  'sockets: bytes in, bytes to the provider and back',
  '+ whose call it is, and their budget loaded',
  '+ the route of its path',
  '+ the request read: own tokens, model, limits, loops',
  '+ checks, price, hold, key, circuits, reply read and redacted, cost, event shown',
  '+ rows of the ledger and of events, committed: all',
]
const CONNECTIONS = 10
const WARM_CALLS = 6_000
const ROUND_MS = 1_500
const HEADERS = { 'content-type': 'application/json', authorization: 'Bearer bench' }

if (process.argv[2] === 'serve') await serve(Number(process.argv[3]), process.argv[4]!)
else await measure(Number(process.argv[2] ?? 9), Number(process.argv[3] ?? 1))

/** Answers with the road cut short behind a step; prints its address and token. */
async function serve(last: number, provider: string): Promise<void> {
  const { deps, agentId, token, close } = await openCallDeps(provider, last === STEPS.length - 1)
  process.once('SIGTERM', () => void close().then(() => process.exit()))
  const { gateway, money, access } = deps
  const openai = gateway.upstream.find('openai')!
  const { dialect } = openai
  const originals = new SealedOriginals(Buffer.alloc(32).toString('base64'))

  const cut = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const client = new ClientConnection(outgoing, systemClock)
    const { signal } = client
    if (last >= 1) {
      const address = readAddress(incoming.url!)
      const caller = await identifyCaller(address, incoming, sentKeys(incoming, address.path, dialect), access)
      await money.ledger.accounts.load(caller.agentId)
    }
    const { route } =
      last >= 2
        ? findRoute(dialect.routes, 'POST', normalizePath('/v1/chat/completions', dialect).path, true)
        : { route: undefined }
    const body = await readBody(incoming, Number.MAX_SAFE_INTEGER, client.held)
    if (last >= 3 && typeof route === 'object' && 'readCall' in route) {
      const naming = { named: undefined, models: {} }
      await readRequest(undefined as never, body, { dialect, format: route, naming, originals, agentId, signal })
    }
    const call = { provider: openai, agentId, method: 'POST', path: '/chat/completions', headers: HEADERS } as const
    const answer = await gateway.upstream.send({ ...call, body, signal })
    const whole = await answer.body.whole(Number.MAX_SAFE_INTEGER, () => new Error('too large'))
    client.send(answer.status, { 'content-type': 'application/json' }, whole)
  }
  const isCut = last < STEPS.length - 2
  const server = createServer(
    (incoming, outgoing) =>
      void (isCut ? cut(incoming, outgoing) : gateway.answer(incoming, outgoing, () => undefined)),
  )
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1', () =>
    console.log(JSON.stringify({ port: (server.address() as AddressInfo).port, token })),
  )
}

interface Server {
  name: string
  child: ChildProcess
  url: string
  token: string
  agent: Agent
  micros: number[]
}

async function measure(rounds: number, kilobytes: number): Promise<void> {
  const body = chatRequest(kilobytes)
  const listening = async (script: string, ...args: string[]) => {
    const child = spawn(process.execPath, [...V8_FLAGS, join(import.meta.dirname, script), ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = (await once(createInterface(child.stdout!), 'line')) as [string]
    return { child, line }
  }
  const provider = await listening('provider.ts')
  const servers: Server[] = []
  for (const [step, name] of STEPS.entries()) {
    const { child, line } = await listening('steps.ts', 'serve', String(step), `http://127.0.0.1:${provider.line}`)
    const { port, token } = JSON.parse(line) as { port: number; token: string }
    const url = `http://127.0.0.1:${port}/gateway/openai/v1/chat/completions`
    servers.push({ name, child, url, token, agent: new Agent({ connections: CONNECTIONS }), micros: [] })
  }
  try {
    for (const server of servers) await load(server, body, (begun) => begun < WARM_CALLS / Math.sqrt(kilobytes))
    for (let round = 1; round <= rounds; round++) {
      process.stderr.write(`round ${round} of ${rounds}\r`)
      for (const server of servers) {
        const before = cpuSeconds(server.child.pid!, 'main')
        const startedAt = performance.now()
        const calls = await load(server, body, () => performance.now() - startedAt < ROUND_MS)
        server.micros.push(((cpuSeconds(server.child.pid!, 'main') - before) * 1e6) / calls)
      }
    }
  } finally {
    for (const { child } of [provider, ...servers]) child.kill()
  }
  for (const [step, { name, micros }] of servers.entries()) {
    // Within a round, since the machine's speed drifts.
    const added = median(micros.map((micro, round) => micro - (servers[step - 1]?.micros[round] ?? 0)))
    console.log(`${median(micros).toFixed(0).padStart(6)} µs ${`+${added.toFixed(0)}`.padStart(6)}   ${name}`)
  }
}

async function load({ url, token, agent }: Server, body: string, goesOn: (begun: number) => boolean): Promise<number> {
  let begun = 0
  const worker = async () => {
    while (goesOn(begun)) {
      begun++
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}`, 'x-api-key': 'bench' }
      const answer = await request(url, { method: 'POST', headers, body, dispatcher: agent })
      const text = await answer.body.text()
      if (answer.statusCode !== 200) throw new Error(`answered ${answer.statusCode}: ${text.slice(0, 300)}`)
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, worker))
  return begun
}
