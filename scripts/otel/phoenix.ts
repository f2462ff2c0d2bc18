/**
 * Shows that a real Phoenix reads our traces: runs an agent of ours whose calls go to a local provider, with Phoenix as
 * its collector. Asks Phoenix for its spans, and writes the table of docs/operating.md.
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
import { answer, FakeProvider, sends } from '../../test/support/provider.ts'

const VERSION = '20.26.1'
const root = resolve(import.meta.dirname, '../..')
const environment = join(root, '.venv-phoenix')
const program = join(root, 'bin/iron-cage.cjs')
/** Of one run: the run, three calls, and the two requests of the first. */
const SPANS = 6
const python = join(environment, 'bin/python')

/** Three calls: the provider refuses the first once, and no budget pays for the last. */
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
  startTime: string
  parentId: string | null
  context: { traceId: string; spanId: string }
  tokenCountTotal: number | null
  costSummary: { total: { cost: number | null } } | null
}

if (!existsSync(python)) install()
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-phoenix-'))
const port = await freePort()
const url = `http://127.0.0.1:${port}`
const phoenix = await startPhoenix()
try {
  await using provider = await FakeProvider.open()
  provider.does(answer({ usage: { prompt_tokens: 30, completion_tokens: 50, total_tokens: 80 } }))
  writeFileSync(join(folder, 'researcher.py'), AGENT)
  const table = tableOf(await runAgent(provider))
  console.log(table)
  writeTable(
    `Phoenix ${VERSION}, of a run of three calls, the first refused once with 503, the last above its budget:\n\n${table}`,
  )
} finally {
  await stop(phoenix)
  rmSync(folder, { recursive: true, force: true })
}

/** The spans of a trace, each below the one that encloses it. */
function tableOf(spans: readonly PhoenixSpan[]): string {
  const rowsBelow = (parent: string | null, depth: number): string[] =>
    spans
      .filter(({ parentId }) => parentId === parent)
      .sort((one, other) => Date.parse(one.startTime) - Date.parse(other.startTime))
      .flatMap(({ name, spanKind, statusCode, tokenCountTotal, costSummary, context }) => {
        const cost = costSummary?.total.cost
        const place = `${'– '.repeat(depth)}${name}`
        const row = `| ${place} | ${spanKind} | ${statusCode} | ${tokenCountTotal || ''} | ${cost ? `$${cost.toFixed(6)}` : ''} |`
        return [row, ...rowsBelow(context.spanId, depth + 1)]
      })
  return [
    '| span | kind | status | tokens | cost, as Phoenix counts it |',
    '|---|---|---|---|---|',
    ...rowsBelow(null, 0),
  ].join('\n')
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

/** Returns the spans that Phoenix has, once they are all there. */
async function runAgent(provider: FakeProvider): Promise<PhoenixSpan[]> {
  provider.doesOnce(sends(503))
  const words = [program, 'start', 'researcher.py', '--budget', '0.0005', '--port', '0', '--keep']
  const child = spawn(process.execPath, words, {
    cwd: folder,
    env: {
      ...{ PATH: process.env.PATH, HOME: folder, OTEL_EXPORTER_OTLP_ENDPOINT: url },
      ...{ OPENAI_BASE_URL: `${provider.url}/v1`, OPENAI_API_KEY: 'sk-test' },
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  try {
    return await spansOf(SPANS)
  } finally {
    await stop(child)
  }
}

/** Phoenix stores data a moment later. */
async function spansOf(count: number): Promise<PhoenixSpan[]> {
  const query = `{ projects { edges { node { spans(first: 50) { edges { node {
    name spanKind statusCode startTime parentId context { traceId spanId } tokenCountTotal costSummary { total { cost } }
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
