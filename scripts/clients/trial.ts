/** Tries one client: its program's six cells, without a cage and under `iron-cage start`. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ADDRESSES, type MatrixClient, MODELS, SHELL } from './clients.ts'
import { LEFT, MatrixProvider, type Seen } from './provider.ts'
import { serviceAccount } from './refusals.ts'

const root = resolve(import.meta.dirname, '../..')
export const CELLS = ['whole', 'streamed', 'tools', '402', '429', 'cancel'] as const
export type Cell = (typeof CELLS)[number]
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

export interface Run {
  versions: Record<string, string>
  /** Whether the cage gave the client no address, and the program set it itself. */
  isSetByHand: boolean
  cells: Map<Cell, Result & Seen>
  /** Its output, for a run that reported nothing. */
  output: string
}

/** Where a client's packages are. */
export interface Installed {
  interpreter: string
  /** With the client's program. */
  folder: string
}

/** Runs a client's program once. */
export async function runClient(
  client: MatrixClient,
  { interpreter, folder }: Installed,
  isCaged: boolean,
): Promise<Run> {
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
    MATRIX_LEFT: provider.url + LEFT,
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
  // The same millisecond is early enough.
  if (cell === 'cancel') return result.leftAt !== undefined && result.leftAt <= Math.ceil(result.at! * 1_000)
  return result.ok !== undefined && !(isCaged && result.ok === 'leak')
}

/** One cell of the table: without a cage, and in it. */
export function mark(cell: Cell, bare: Run, caged: Run): string {
  if (!bare.cells.has(cell) && !caged.cells.has(cell)) return '–'
  const [outside, inside] = [works(cell, bare, false), works(cell, caged, true)]
  const how = cell === '402' && inside ? ` ${caged.cells.get('402')!.error}` : ''
  return outside === inside ? `${inside ? '✓' : '✗ both'}${how}` : inside ? `✓ (bare ✗)${how}` : '**✗** (bare ✓)'
}
