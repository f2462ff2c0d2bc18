/**
 * Runs clients of the matrix, each without a cage and under `iron-cage start`, and writes their rows of
 * docs/client-matrix.md. The rows of others stay as they were.
 *
 *     npm run test:clients                                       # all clients, in environments below .venv-clients
 *     node scripts/clients/matrix.ts "OpenAI Agents SDK" groq    # some of them
 *
 * Exits with 1 when a cell works without a cage and not in it.
 */
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ADDRESSES, MATRIX, type MatrixClient, MODELS, SHELL } from './clients.ts'
import { MatrixProvider, type Seen } from './provider.ts'
import { serviceAccount } from './refusals.ts'

const root = resolve(import.meta.dirname, '../..')
const CELLS = ['whole', 'streamed', 'tools', '402', '429', 'cancel'] as const
type Cell = (typeof CELLS)[number]
/** A client that takes longer hangs. */
const MAX_SECONDS = 180

interface Result {
  ok?: string
  error?: string
  status?: number | null
  message?: string
  /** When the cell ended, in seconds since 1970. */
  at?: number
}

interface Run {
  versions: Record<string, string>
  /** Whether the cage gave the client no address, and the program set it itself. */
  isSetByHand: boolean
  cells: Map<Cell, Result & Seen>
  /** What it printed, for a run that reported nothing. */
  output: string
}

/** Makes the environment of a client, once for each list of packages. Returns its interpreter and its programs' folder. */
function prepare({ packages, program }: MatrixClient): { interpreter: string; folder: string } {
  const isNode = program.endsWith('.mjs')
  const isJava = program.endsWith('.java')
  const key = createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 12)
  const folder = join(root, '.venv-clients', `${program.split('.')[0]}-${key}`)
  const interpreter = isNode ? process.execPath : isJava ? 'java' : join(folder, 'bin/python')
  if (!existsSync(join(folder, '.installed'))) {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const run = (command: string, ...words: string[]) => execFileSync(command, words, { cwd: folder, stdio: 'inherit' })
    if (isNode) {
      writeFileSync(join(folder, 'package.json'), '{"private": true, "type": "module"}')
      run('npm', 'install', '--silent', '--no-audit', '--no-fund', ...packages)
    } else if (!isJava) {
      run('python3', '-m', 'venv', folder)
      run(join(root, '.venv-test/bin/uv'), 'pip', 'install', '--quiet', '--python', interpreter, ...packages)
    }
    writeFileSync(join(folder, '.installed'), packages.join('\n'))
  }
  cpSync(join(import.meta.dirname, 'programs'), folder, { recursive: true })
  return { interpreter, folder }
}

async function runClient(client: MatrixClient, isCaged: boolean): Promise<Run> {
  const { interpreter, folder } = prepare(client)
  await using provider = await MatrixProvider.open(client.vendor, client.answers ?? {})
  const { model, dear } = MODELS[client.vendor]
  const state = mkdtempSync(join(tmpdir(), 'iron-cage-matrix-'))
  const environment = {
    PATH: process.env.PATH!,
    HOME: state,
    LANG: 'C.UTF-8',
    ...SHELL,
    ...client.environment,
    MATRIX_MODEL: model,
    MATRIX_DEAR: dear,
    ...(client.vendor === 'vertex' && { GOOGLE_APPLICATION_CREDENTIALS_JSON: serviceAccount(provider.url) }),
    MATRIX_ADDRESS: Object.keys(ADDRESSES[client.vendor].variables(''))[0]!,
  }
  const program = join(folder, client.program)
  try {
    if (!isCaged) {
      const variables = { ...environment, ...ADDRESSES[client.vendor].variables(provider.url) }
      return collect(await output(interpreter, [program], folder, variables, client), provider)
    }
    const config = join(state, 'iron-cage.yaml')
    writeFileSync(config, JSON.stringify(configOf(client, provider.url, state)))
    const flags = ['--config', config, '--budget', String(client.budget ?? 1)]
    const python = interpreter === process.execPath ? [] : ['--python', interpreter]
    const command =
      interpreter === 'java' ? ['run', ...flags, '--', 'java', program] : ['start', program, ...flags, ...python]
    const words = [join(root, 'bin/iron-cage.cjs'), ...command]
    return collect(await output(process.execPath, words, folder, environment, client), provider)
  } finally {
    rmSync(state, { recursive: true, force: true, maxRetries: 5 })
  }
}

const configOf = ({ vendor }: MatrixClient, url: string, state: string) => ({
  providers: {
    openai: { base_url: `${url}/v1` },
    anthropic: { base_url: url },
    google: { base_url: url },
    ...(vendor !== 'openai' && { [vendor]: { base_url: `${url}${ADDRESSES[vendor].path}` } }),
  },
  prices: {
    [`${vendor}/${MODELS[vendor].model}`]: { input_per_mtok: 1, output_per_mtok: 1, confirm: true },
    [`${vendor}/${MODELS[vendor].dear}`]: { input_per_mtok: 1e5, output_per_mtok: 1e5, confirm: true },
  },
  budget: { on_exhausted: 'refuse' },
  agent: { restart: { enabled: false } },
  server: { port: 0 },
  db: { path: join(state, 'iron_state.db') },
  log: { dir: join(state, 'logs') },
})

function output(
  command: string,
  words: string[],
  cwd: string,
  env: Record<string, string>,
  { seconds = MAX_SECONDS }: MatrixClient,
): Promise<string> {
  return new Promise((done) => {
    const child = spawn(command, words, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        text += chunk
      })
    }
    const overdue = setTimeout(() => child.kill('SIGTERM'), seconds * 1_000)
    child.once('close', () => {
      clearTimeout(overdue)
      done(text)
    })
  })
}

function collect(output: string, provider: MatrixProvider): Run {
  const run: Run = { versions: {}, isSetByHand: false, cells: new Map(), output }
  for (const [, line] of output.matchAll(/@@(\[.+\])\s*$/gm)) {
    const [name, value] = JSON.parse(line!) as [Cell | 'versions' | 'set by hand', Result]
    if (name === 'versions') run.versions = value as Record<string, string>
    else if (name === 'set by hand') run.isSetByHand = true
    else run.cells.set(name, { ...value, ...(provider.seen.get(name) ?? { requests: 0 }) })
  }
  return run
}

/** Whether a cell is as it should be. A spent budget is an error that the client shows, with its status. */
function works(cell: Cell, run: Run, isCaged: boolean): boolean {
  const result = run.cells.get(cell)
  if (!result) return false
  if (cell === '402') {
    return isCaged ? result.requests === 0 && /needs up to/.test(result.message ?? '') : result.error !== undefined
  }
  if (cell === 'cancel') return result.leftAt !== undefined && result.leftAt < result.at! * 1_000
  return result.ok !== undefined && !(isCaged && result.ok === 'leak')
}

/** One cell of the table: without a cage, and in it. */
function mark(cell: Cell, bare: Run, caged: Run): string {
  if (!bare.cells.has(cell) && !caged.cells.has(cell)) return '–'
  const [outside, inside] = [works(cell, bare, false), works(cell, caged, true)]
  const how = cell === '402' && inside ? ` ${caged.cells.get('402')!.error}` : ''
  return outside === inside ? `${inside ? '✓' : '✗ both'}${how}` : inside ? `✓ (bare ✗)${how}` : '**✗** (bare ✓)'
}

const DOCUMENT = join(root, 'docs/client-matrix.md')
const HEAD = ['client', 'version', ...CELLS, 'tried']
const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`

async function main(): Promise<void> {
  const wanted = process.argv.slice(2)
  const unknown = wanted.filter((one) => !MATRIX.some(({ name }) => name === one))
  if (unknown.length > 0) throw new Error(`no such client: ${unknown.join(', ')}`)
  let isWorse = false
  for (const client of MATRIX.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    const bare = await runClient(client, false)
    const caged = await runClient(client, true)
    const marks = CELLS.map((cell) => mark(cell, bare, caged))
    isWorse ||= marks.some((one) => one.startsWith('**'))
    const versions = Object.entries({ ...bare.versions, ...caged.versions }).map(
      ([name, number]) => `${name} ${number}`,
    )
    const name = `${client.name}${caged.isSetByHand ? BY_HAND : ''}`
    const line = row([name, versions.join(', '), ...marks, new Date().toISOString().slice(0, 10)])
    console.log(line)
    writeRow(client.name, line)
    for (const [where, run] of Object.entries({ bare, caged })) explain(where, run)
  }
  process.exitCode = isWorse ? 1 : 0
}

/** Puts a client's row in the place of its last one. Rows of clients that are no longer in the matrix are dropped. */
function writeRow(client: string, line: string): void {
  const rows = new Map(
    readFileSync(DOCUMENT, 'utf8')
      .split('\n')
      .map((old) => [clientOf(old), old]),
  )
  rows.set(client, line)
  const known = MATRIX.flatMap(({ name }) => rows.get(name) ?? [])
  const table = [row(HEAD), row(HEAD.map(() => '---')), ...known].join('\n')
  writeFileSync(DOCUMENT, `${INTRODUCTION}\n${table}\n`)
}

const BY_HAND = ' ¹'
const clientOf = (line: string): string => (line.split(' | ')[0] ?? '').replace('| ', '').replace(BY_HAND, '')

function explain(where: string, run: Run): void {
  if (run.cells.size === 0) console.log(`  ${where}: ${run.output.slice(-1_500)}`)
  for (const [cell, { error, message, requests }] of run.cells) {
    if (error) console.log(`  ${where} ${cell}: ${requests} requests, ${error}: ${message}`)
  }
}

const INTRODUCTION = `# Clients, tried

What \`node scripts/clients/matrix.ts\` saw: each client as its quick start shows it, with the versions below, once without a
cage and once under \`iron-cage start\`, against a provider that checks keys and fields as the real ones do.

- **whole**, **streamed**, **tools**: the client gets the answer; in the cage without the e-mail address that is in it.
- **402**: a call that the budget cannot pay is an error of the class shown, and nothing reaches the provider. (Without a cage: the
  provider answers 402.)
- **429**: a provider that is busy, once, with \`Retry-After: 1\`: the call is answered.
- **cancel**: the client leaves in the middle of a stream, and the provider sees it leave.

✓: works, and works without a cage. "✗ both": the client itself does not. –: the client has no such call.

Codex and Gemini CLI have what their own configuration would say: Codex takes an address from nowhere else, and Gemini CLI without
settings refuses every address but Google's. The providers are simulated: they verify keys, signatures of AWS and tokens of Google,
and refuse fields that the real ones do not have. Nothing here was tried against a real provider.

¹ The cage sets no address for this client: the program sets it, to the provider's name below \`$IRON_CAGE_GATEWAY_URL\`.
`

await main()
