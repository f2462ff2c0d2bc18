/**
 * node scripts/bench/egress.ts [rounds, 5] [each, 100]: needs a build. The costs of egress as an agent feels them: the
 * same agent connects, calls a service (by its own address, and by the gateway's) and moves bytes: directly, through a bare pipe
 * in another process, and with a sandbox that redirects, in turns. Prints medians in milliseconds. Linux only.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { type AddressInfo, createServer as createPlain } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { median } from './figures.ts'

const run = promisify(execFile)

const [rounds = '5', each = '100'] = process.argv.slice(2)
const root = resolve(import.meta.dirname, '../..')
const tls = join(root, 'test/support/tls')
const WAYS = {
  direct: 'off',
  pipe: 'off',
  strict: 'strict',
  standard: 'standard',
} as const

const folder = mkdtempSync(join(tmpdir(), 'iron-cage-egress-'))
const service = createServer(
  { key: readFileSync(`${tls}/key.pem`), cert: readFileSync(`${tls}/cert.pem`) },
  (_, response) => response.end('{"ok":true}'),
).listen(0, '127.0.0.1')
const echo = createPlain({ noDelay: true }, (socket) => socket.on('error', () => {}).pipe(socket)).listen(
  0,
  '127.0.0.1',
)
await Promise.all([once(service, 'listening'), once(echo, 'listening')])
const [tlsPort, echoPort] = [service, echo].map((server) => (server.address() as AddressInfo).port)

/** Copies bytes, as any relay must. */
const PIPE = `require('net').createServer((from) => {
  const to = require('net').connect(${echoPort}, '127.0.0.1')
  from.setNoDelay().pipe(to.setNoDelay()).pipe(from)
  from.on('error', () => to.destroy())
  to.on('error', () => from.destroy())
}).listen(0, '127.0.0.1', function () { console.log(this.address().port) })`
const pipe = spawn(process.execPath, ['-e', PIPE], { stdio: ['ignore', 'pipe', 'inherit'] })
const [line] = (await once(pipe.stdout, 'data')) as [Buffer]
const pipePort = Number(line)

const settings = {
  agent: { egress: { private: [`127.0.0.1:${echoPort}`] }, restart: { enabled: false } },
  services: {
    bench: { base_url: `https://localhost:${tlsPort}`, hosts: Array.from({ length: 21 }, (_, n) => `s${n}.example`) },
  },
  network: { ca_file: `${tls}/cert.pem` },
}
// JSON is YAML.
writeFileSync(join(folder, 'egress.yaml'), JSON.stringify(settings))
writeFileSync(join(folder, 'direct.yaml'), JSON.stringify({ services: settings.services, network: settings.network }))

/** The servers of this process answer meanwhile. */
async function measure(way: keyof typeof WAYS): Promise<Record<string, number>> {
  const isDirect = way === 'direct' || way === 'pipe'
  const port = way === 'pipe' ? pipePort : echoPort
  const { stdout } = await run(
    process.execPath,
    [
      join(root, 'bin/iron-cage.cjs'),
      ...['start', join(root, 'scripts/bench/egress-agent.mjs'), '--port', '0', '--sandbox', WAYS[way]],
      ...['--config', `${isDirect ? 'direct' : 'egress'}.yaml`, '--db', `${way}.db`, '--log-format', 'json'],
      ...['--', isDirect ? 'direct' : 'egress', String(tlsPort), String(port), each],
    ],
    { cwd: folder, env: { ...process.env, NODE_EXTRA_CA_CERTS: `${tls}/cert.pem` } },
  )
  const line = /\{\\?"connect\\?":[^}]*\}/.exec(stdout)?.[0].replaceAll('\\', '')
  if (line === undefined) throw new Error(`${way}: ${stdout}`)
  return JSON.parse(line) as Record<string, number>
}

try {
  const found = new Map<string, Record<string, number>[]>()
  for (let round = 0; round < Number(rounds); round++) {
    for (const way of Object.keys(WAYS) as (keyof typeof WAYS)[]) {
      found.set(way, [...(found.get(way) ?? []), await measure(way)])
    }
    process.stderr.write('.')
  }
  console.log('\nms              connect    call  by gateway   first of a host   again   1 MB there and back')
  for (const [way, all] of found) {
    const cells = ['connect', 'call', 'url', 'first', 'again', 'megabyte'].map((name) =>
      median(all.map((one) => one[name]!)),
    )
    console.log(
      way.padEnd(16) + cells.map((cell, index) => cell.toFixed(2).padStart([7, 8, 12, 18, 8, 22][index]!)).join(''),
    )
  }
} finally {
  pipe.kill()
  service.close()
  echo.close()
  service.closeAllConnections()
  rmSync(folder, { recursive: true, force: true })
}
process.exit()
