/**
 * Shows that a real Phoenix reads our traces: runs an agent of ours whose calls go to a local provider, with Phoenix as
 * its collector, and asks Phoenix what it has. Writes the table of docs/operating.md.
 *
 *     npm run test:phoenix
 *
 * Installs Phoenix from PyPI into .venv-phoenix, once (1 GB).
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../test/support/free-port.ts'
import { answer, FakeProvider } from '../../test/support/provider.ts'

const VERSION = '20.26.1'
const root = resolve(import.meta.dirname, '../..')
const environment = join(root, '.venv-phoenix')
const python = join(environment, 'bin/python')

/** Three calls, the last of which no budget pays. */
const AGENT = `import json, os, urllib.request

def call(tokens):
    body = {"model": "gpt-4o-mini", "max_tokens": tokens, "messages": [{"role": "user", "content": "Who is the CEO?"}]}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]})
    urllib.request.urlopen(request).read()

call(50)
call(50)
call(16000)
`

interface PhoenixSpan {
  name: string
  spanKind: string
  statusCode: string
  parentId: string | null
  tokenCountTotal: number | null
  costSummary: { total: { cost: number | null } } | null
}

if (!existsSync(python)) install()
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-phoenix-'))
const port = await freePort()
const url = `http://127.0.0.1:${port}`
const phoenix = await startPhoenix()
try {
  await runAgent()
  const spans = await spansOf(4)
  const rows = spans.map(({ name, spanKind, statusCode, parentId, tokenCountTotal, costSummary }) => {
    const cost = costSummary?.total.cost
    return `| ${parentId ? '' : '**'}${name}${parentId ? '' : '**'} | ${spanKind} | ${statusCode} | ${tokenCountTotal || ''} | ${cost ? `$${cost.toFixed(6)}` : ''} |`
  })
  const table = [
    '| span | kind | status | tokens | cost, as Phoenix counts it |',
    '|---|---|---|---|---|',
    ...rows,
  ].join('\n')
  console.log(table)
  writeTable(`Phoenix ${VERSION}, of a run of three calls, the last above its budget:\n\n${table}`)
} finally {
  await stop(phoenix)
  rmSync(folder, { recursive: true, force: true })
}

function install(): void {
  execFileSync('python3', ['-m', 'venv', environment])
  execFileSync(python, ['-m', 'pip', 'install', '--quiet', `arize-phoenix==${VERSION}`], { stdio: 'inherit' })
}

async function startPhoenix(): Promise<ChildProcess> {
  const child = spawn(python, ['-m', 'phoenix.server.main', 'serve'], {
    env: {
      ...process.env,
      PHOENIX_WORKING_DIR: folder,
      PHOENIX_HOST: '127.0.0.1',
      PHOENIX_PORT: String(port),
      PHOENIX_GRPC_PORT: String(await freePort()),
      PHOENIX_TELEMETRY_ENABLED: 'false',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  for (let isUp = false; !isUp; await sleep(500)) {
    if (child.exitCode !== null) throw new Error(`Phoenix ended with ${child.exitCode}`)
    isUp = await fetch(`${url}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    )
  }
  return child
}

async function runAgent(): Promise<void> {
  await using provider = await FakeProvider.open()
  provider.does(answer({ usage: { prompt_tokens: 30, completion_tokens: 50, total_tokens: 80 } }))
  writeFileSync(join(folder, 'researcher.py'), AGENT)
  const words = [join(root, 'bin/iron-cage.cjs'), 'start', 'researcher.py', '--budget', '0.0005', '--port', '0']
  const child = spawn(process.execPath, words, {
    cwd: folder,
    env: {
      ...{ PATH: process.env.PATH, HOME: folder, OPENAI_BASE_URL: `${provider.url}/v1`, OPENAI_API_KEY: 'sk-test' },
      OTEL_EXPORTER_OTLP_ENDPOINT: url,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  await once(child, 'exit')
}

/** Phoenix stores what it is sent a moment later. */
async function spansOf(count: number): Promise<PhoenixSpan[]> {
  const query = `{ projects { edges { node { spans(first: 50) { edges { node {
    name spanKind statusCode parentId tokenCountTotal costSummary { total { cost } }
  } } } } } } }`
  for (const deadline = Date.now() + 60_000; ; await sleep(500)) {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
    })
    const { data, errors } = (await response.json()) as {
      data?: { projects: { edges: { node: { spans: { edges: { node: PhoenixSpan }[] } } }[] } }
      errors?: unknown
    }
    if (errors) throw new Error(JSON.stringify(errors))
    const spans = data!.projects.edges.flatMap(({ node }) => node.spans.edges.map((edge) => edge.node))
    if (spans.length >= count) return spans
    if (Date.now() > deadline) throw new Error(`Phoenix has ${spans.length} spans of ${count}`)
  }
}

function writeTable(text: string): void {
  const page = join(root, 'docs/operating.md')
  const [before = '', after = ''] = readFileSync(page, 'utf8').split(
    /(?<=phoenix:begin -->\n)[\s\S]*?(?=<!-- phoenix:end)/,
  )
  writeFileSync(page, `${before}${text}\n${after}`)
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  child.kill()
  await once(child, 'exit')
}
