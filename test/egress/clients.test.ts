/**
 * Real clients in an agent of the built program, on each road to the gateway. The internet is a server here, behind the
 * proxy of the user's own: it resolves names.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join, resolve } from 'node:path'
import { type SecureContext, TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { systemClock } from '../../src/core/clock.ts'
import { CertificateAuthority } from '../../src/egress/certificates.ts'
import { openPlace } from '../cli/support.ts'
import { openHostile, SYSTEM_PYTHON } from '../support/hostile.ts'

const root = resolve(import.meta.dirname, '../..')
const clients = join(import.meta.dirname, 'clients')
const built = mkdtempSync(join(tmpdir(), 'iron-cage-clients-'))
const programs: Record<string, string> = {
  node: process.execPath,
  clients: join(clients, 'clients.mjs'),
  pip: join(root, '.venv-test/bin/python'),
  uv: join(root, '.venv-test/bin/uv'),
  npm: 'npm',
  boto3: join(root, '.venv-test-providers/bin/python'),
}

/** Where the clients are, and the Python that their environments were made from. */
const environments = ['', '-providers', '-crewai']
  .map((name) => join(root, `.venv-test${name}`))
  .flatMap((folder) => [realpathSync(folder), dirname(dirname(realpathSync(join(folder, 'bin/python'))))])

/** The same as folders of packages, the first before the others. */
const packages = ['-crewai', '-providers', ''].flatMap((name) => {
  const lib = join(root, `.venv-test${name}/lib`)
  return readdirSync(lib).map((version) => realpathSync(join(lib, version, 'site-packages')))
})
const canBecomeAnother =
  process.getuid?.() === 0 && packages.every((folder) => folder.includes(`/${basename(SYSTEM_PYTHON)}/`))

/** Finds a program on PATH. */
const find = (name: string) =>
  process.env
    .PATH!.split(':')
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))

beforeAll(() => {
  // Other users run what is in it.
  chmodSync(built, 0o755)
  const go = find('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : undefined)
  if (go) {
    programs.go = join(built, 'client')
    // Without cgo, as most programs in Go are distributed.
    const env = { ...process.env, CGO_ENABLED: '0' }
    execFileSync(go, ['build', '-o', programs.go, join(clients, 'client.go')], { env })
  }
  if (find('javac')) {
    Object.assign(programs, { java: find('java'), classes: built })
    execFileSync('javac', ['-d', built, join(clients, 'Client.java')])
  }
})
afterAll(() => rmSync(built, { recursive: true, force: true }))

interface Answer {
  ok: boolean
  text: string
  ms: number
  stderr?: string
}
type Target = 'service' | 'tunnel' | 'unlisted' | 'address'
type Results = Record<string, Record<Target, Answer>>

/** Answers each client as the server that it expects. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = request.url ?? ''
  const as = (type: string, body: string) => response.setHeader('content-type', type).end(body)
  if (url.includes('info/refs')) {
    return void as('application/x-git-upload-pack-advertisement', '001e# service=git-upload-pack\n00000000')
  }
  if (url.includes('/simple/'))
    return void as('text/html', '<a href="x-1.0-py3-none-any.whl">x-1.0-py3-none-any.whl</a>')
  const version = { name: 'x', version: '1.0.0', dist: { tarball: `https://${request.headers.host}/x.tgz` } }
  const body = {
    ...version,
    'dist-tags': { latest: '1.0.0' },
    versions: { '1.0.0': version },
    hello: 'from the internet',
  }
  as(request.method === 'POST' ? 'application/x-amz-json-1.0' : 'application/json', JSON.stringify(body))
}

async function listen(server: Server, host: string): Promise<number> {
  server.listen(0, host)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

/** All hosts of the internet, at an address, and the user's proxy that finds them. */
async function openInternet() {
  const authority = new CertificateAuthority(systemClock)
  const seen: string[] = []
  const http = createHttpServer(answer)
  for (const kind of ['request', 'upgrade']) {
    http.on(kind, ({ headers, url }: IncomingMessage) => void seen.push(`${headers.host} ${url}`))
  }
  new WebSocketServer({ server: http }).on('connection', (socket) => socket.send('hello from the internet'))
  const open = (address: string) => {
    const SNICallback = (name: string, done: (error: null, context: SecureContext) => void) =>
      done(null, authority.contextFor(name))
    const options = { isServer: true, secureContext: authority.contextFor(address), SNICallback }
    const server = createServer((socket) =>
      http.emit(
        'connection',
        new TLSSocket(
          socket.on('error', () => {}),
          options,
        ),
      ),
    )
    return listen(server, address)
  }
  const [port, addressPort] = [await open('127.0.0.1'), await open('127.0.0.2')]
  const names = new Set<string>()
  const proxy = createHttpServer().on('connect', (request, client) => {
    names.add(request.url!)
    const server = connect(port, '127.0.0.1', () => client.write('HTTP/1.1 200 OK\r\n\r\n'))
    for (const socket of [client, server]) socket.on('error', () => {})
    client.pipe(server).pipe(client)
  })
  const proxyUrl = `http://127.0.0.1:${await listen(proxy, '127.0.0.1')}`
  return { certificate: authority.certificate, addressPort, proxyUrl, names, seen }
}

type Event = { type: string; data: Record<string, unknown> }

/** Where an agent runs, as which user, and the Python and packages of its clients. */
interface Stage {
  folder: string
  write(name: string, content: string): void
  run(words: string[]): Promise<{ code: number | null; out: string; err?: string }>
  python: string
  programs: Record<string, string>
  /** Folders that it reads. */
  read: string[]
}

/** This user, with the environments of the suite. */
function ourStage(): Stage {
  const place = openPlace()
  const folder = join(place.folder, 'work')
  mkdirSync(folder)
  return {
    folder,
    write: (name, content) => void place.write(`work/${name}`, content),
    run: (words) => place.run(words, { folder: 'work', env: { HOME: place.folder } }),
    python: join(root, '.venv-test-crewai/bin/python'),
    programs,
    read: environments,
  }
}

/** An ordinary user, who may not run the Python of these environments: the system's reads their packages. */
function othersStage(): Stage {
  const { project, write, run } = openHostile()
  const PYTHONPATH = packages.join(delimiter)
  return {
    folder: project,
    write,
    run: (words) => run(words, { env: { PYTHONPATH } }),
    python: SYSTEM_PYTHON,
    programs: { ...programs, pip: SYSTEM_PYTHON, boto3: SYSTEM_PYTHON },
    read: [...packages, realpathSync(join(root, '.venv-test'))],
  }
}

async function reachAll(level: string, stage = ourStage()) {
  const internet = await openInternet()
  const config = {
    network: { https_proxy: internet.proxyUrl, ca_file: join(stage.folder, 'internet.pem') },
    services: { linkedin_api: { base_url: 'https://api.linkedin.com', cost_per_call_usd: 0.01 } },
    agent: {
      egress: { allow: ['files.example.com'] },
      sandbox: { level, read: [root, built, ...stage.read] },
    },
  }
  const targets: Record<Target, string> = {
    service: 'https://api.linkedin.com',
    tunnel: 'https://files.example.com',
    unlisted: 'https://evil.example.com',
    address: `https://127.0.0.2:${internet.addressPort}`,
  }
  stage.write('internet.pem', internet.certificate)
  stage.write('iron-cage.yaml', JSON.stringify(config))
  stage.write('need.in', 'x\n')
  stage.write('agent.py', readFileSync(join(clients, 'clients.py'), 'utf8'))
  stage.write('targets.json', JSON.stringify({ targets, programs: stage.programs }))
  const options = ['--port', '0', '--python', stage.python, '--log-format', 'json', '--no-restart']
  const { code, out, err } = await stage.run(['start', 'agent.py', ...options])
  expect(code, out + err).toBe(0)
  const results = JSON.parse(readFileSync(join(stage.folder, 'results.json'), 'utf8')) as Results
  const lines = out.split('\n').filter((line) => line.startsWith('{"level"'))
  return { internet, results, events: lines.map((line) => JSON.parse(line) as Event) }
}

/** What each client says where a sandbox refuses its connection, and where the proxy does. */
const REFUSALS: Record<string, [redirect: RegExp, proxy: RegExp]> = {
  curl: [/^OSError: curl: \(7\) /, /^OSError: curl: .* 403/],
  wget: [/failed: Permission denied/, /Proxy tunneling failed: egress_denied/],
  git: [/Failed to connect/, /403/],
  urllib: [/^URLError: .*Permission denied/, /^URLError: .*403 egress_denied/],
  requests: [/^ConnectionError: .*Permission denied/, /^ProxyError: .*403 egress_denied/],
  httpx: [/^ConnectError: .*Permission denied/, /^ProxyError: 403 egress_denied/],
  urllib3: [/^NewConnectionError: .*Permission denied/, /^NameResolutionError/],
  aiohttp: [/^ClientConnectorError: .*Permission denied/, /^ClientHttpProxyError: 403, message='egress_denied/],
  websockets: [/^PermissionError/, /^InvalidProxyStatus: .*403/],
  boto3: [/^EndpointConnectionError/, /^ProxyConnectionError/],
  pip: [/No matching distribution found/, /No matching distribution found/],
  uv: [/Permission denied/, /tunnel error/],
  npm: [/EACCES/, /403|EACCES|ECONN/],
  'node fetch': [/^TypeError: fetch failed: .*EACCES/, /^TypeError: fetch failed: .*Proxy response \(403\)/],
  'node https': [/EACCES/, /ERR_PROXY_TUNNEL.*403 egress_denied/],
  'node undici': [/EACCES/, /Proxy response \(403\)/],
  'node ws': [/EACCES/, /ENOTFOUND|EAI_AGAIN/],
  go: [/connect: permission denied/, /egress_denied/],
  java: [/ConnectException: Permission denied/, /UnresolvedAddressException/],
}
/** They use no proxy by themselves. Here no name server knows the names that they look up. */
const WITHOUT_PROXY = ['urllib3', 'node ws', 'java']
/** It uses no proxy for addresses of its own machine. */
const WITHOUT_PROXY_AT_HOME = [...WITHOUT_PROXY, 'go']
/** Also on a busy machine. A client that tries again waits longer. */
const SOON_MS = 10_000

const named = (results: Results, target: Target, ok: boolean) =>
  Object.keys(results).filter((name) => results[name]![target].ok === ok)

/** Each refusal comes soon, as the client's own error. */
function expectRefusals(results: Results, target: 'unlisted' | 'address', road: 0 | 1): void {
  for (const [name, { [target]: answer }] of Object.entries(results)) {
    if (answer.ok) continue
    expect(answer.text, `${name}: ${target}`).toMatch(REFUSALS[name]![road])
    expect(answer.ms, `${name}: ${target}`).toBeLessThan(SOON_MS)
  }
}

function expectPriced(events: readonly Event[], requests: readonly string[], via: string): void {
  const calls = events.filter(({ type, data }) => type === 'service.called' && data.ok)
  for (const { data } of calls) expect(data).toMatchObject({ cost_usd: '0.01', via })
  expect(calls).toHaveLength(requests.filter((request) => request.startsWith('api.linkedin.com ')).length)
}

async function expectRedirected(level: string, stage?: Stage): Promise<void> {
  const { internet, results, events } = await reachAll(level, stage)
  expect(named(results, 'tunnel', false)).toEqual([])
  expect(named(results, 'service', false)).toEqual([])
  expectPriced(events, internet.seen, 'redirect')
  for (const target of ['unlisted', 'address'] as const) {
    expect(named(results, target, true)).toEqual([])
    expectRefusals(results, target, 0)
  }
  expect([...internet.names].sort()).toEqual(['api.linkedin.com:443', 'files.example.com:443'])
  expect(internet.seen.filter((request) => request.startsWith('127.'))).toEqual([])
}

describe.runIf(process.platform === 'linux')('a sandbox', () => {
  test.each(['standard', 'strict'])(
    'a sandbox at %s redirects all clients: to services, which are priced, and into tunnels; others are refused',
    (level) => expectRedirected(level),
  )

  test.runIf(canBecomeAnother)('a sandbox of an ordinary user redirects all clients, too', () =>
    expectRedirected('strict', othersStage()),
  )
})

test('without a sandbox clients use the proxy of their variables; those that use none are not stopped', async () => {
  const { internet, results, events } = await reachAll('off')
  const all = Object.keys(results)
  const without = all.filter((name) => WITHOUT_PROXY.includes(name))
  expect(named(results, 'tunnel', false)).toEqual(without)
  expect(named(results, 'service', false)).toEqual(without)
  expectPriced(events, internet.seen, 'proxy')
  expect(named(results, 'unlisted', true)).toEqual([])
  expect(named(results, 'address', true)).toEqual(all.filter((name) => WITHOUT_PROXY_AT_HOME.includes(name)))
  for (const target of ['unlisted', 'address'] as const) expectRefusals(results, target, 1)
  expect([...internet.names].sort()).toEqual(['api.linkedin.com:443', 'files.example.com:443'])
  // Java tells which options it was given; nothing else says anything.
  const said = ['node fetch', 'node https', 'urllib', 'aiohttp'].map((name) => results[name]!.service.stderr)
  expect(said).toEqual(['', '', '', ''])
})
