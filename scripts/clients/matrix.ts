/**
 * Runs clients of the matrix, each without a cage and under `iron-cage start`, and writes their rows of
 * docs/client-matrix.md. The rows of others stay as they were.
 *
 *     npm run test:clients                                       # all clients, in environments below .venv-clients
 *     node scripts/clients/matrix.ts "OpenAI Agents SDK" groq    # some of them
 *
 * Exits with 1 when a cell works without a cage and not in it.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { MATRIX } from './clients.ts'
import { prepare } from './environments.ts'
import { CELLS, mark, type Run, runClient } from './trial.ts'

const root = resolve(import.meta.dirname, '../..')

const DOCUMENT = join(root, 'docs/client-matrix.md')
const HEAD = ['client', 'version', ...CELLS, 'tried']
const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`

async function main(): Promise<void> {
  const wanted = process.argv.slice(2)
  const unknown = wanted.filter((one) => !MATRIX.some(({ name }) => name === one))
  if (unknown.length > 0) throw new Error(`no such client: ${unknown.join(', ')}`)
  let isWorse = false
  for (const client of MATRIX.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    const installed = prepare(client)
    const bare = await runClient(client, installed, false)
    const caged = await runClient(client, installed, true)
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
