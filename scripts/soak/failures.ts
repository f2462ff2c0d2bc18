/**
 * node scripts/soak/failures.ts [Python with the openai package, that of .venv-test by default]: needs a build. Twenty calls
 * at once of the real client, to a provider that fails in one of several ways and then answers: straight to it, and through
 * the gateway. Prints a table; exits 1 when the gateway answers fewer.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { FakeProvider, hangs, resets, type Script, sends } from '../../test/support/provider.ts'
import { Cage } from './cage.ts'

const CALLS = 20
const [python = resolve(import.meta.dirname, '../../.venv-test/bin/python')] = process.argv.slice(2)
const run = promisify(execFile)

const error = (status: number, headers: Record<string, string> = {}): Script =>
  sends(status, { 'content-type': 'application/json', ...headers }, { error: { message: 'Not now.' } })

/** The provider's behavior with the first calls. */
const PATTERNS: [name: string, times: number, script: Script][] = [
  ['429 with Retry-After: 1', 12, error(429, { 'retry-after': '1' })],
  ['429 without Retry-After', 6, error(429)],
  ['503 with Retry-After: 1', 6, error(503, { 'retry-after': '1' })],
  ['500', 4, error(500)],
  ['the connection breaks', 4, resets],
  ['no answer', 2, hangs],
]

interface Outcome {
  seconds: number
  answered: number
  /** Names of errors. */
  failed: Record<string, number>
}

const shown = ({ seconds, answered, failed }: Outcome): string =>
  [`${answered} in ${seconds.toFixed(1)} s`, ...Object.entries(failed).map(([name, count]) => `${count} ${name}`)].join(
    ', ',
  )

const folder = mkdtempSync(join(tmpdir(), 'iron-cage-failures-'))
const provider = await FakeProvider.open()
const cage = new Cage(folder, provider, {
  providers: { failing: { base_url: `${provider.url}/v1`, dialect: 'openai', first_byte_timeout_s: 2 } },
})
await cage.start()
await cage.api('POST', '/api/models/failing/trust', {})

async function calls(baseUrl: string, key: string, times: number, script: Script): Promise<Outcome> {
  for (let time = 0; time < times; time++) provider.doesOnce(script)
  const client = resolve(import.meta.dirname, 'failure_calls.py')
  const { stdout } = await run(python, [client, baseUrl, key, String(CALLS)])
  return JSON.parse(stdout) as Outcome
}

console.log(`| of ${CALLS} calls at once | the client alone | through the gateway |`)
console.log('|---|---|---|')
try {
  for (const [name, times, script] of PATTERNS) {
    const bare = await calls(`${provider.url}/v1`, 'none', times, script)
    const caged = await calls(`${cage.url}/gateway/failing/v1`, cage.callToken, times, script)
    if (caged.answered < bare.answered) process.exitCode = 1
    console.log(`| ${times} × ${name} | ${shown(bare)} | ${shown(caged)} |`)
  }
} finally {
  await cage.close()
  await provider.close()
  rmSync(folder, { recursive: true, force: true })
}
