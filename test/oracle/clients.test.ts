import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Program, RunningProgram } from '../conformance/clients.ts'
import { type OracleCage, openCage } from './cage.ts'
import { type DIALECTS, exchangeOf } from './exchanges.ts'
import { type OracleProvider, openProvider } from './provider.ts'

/** The vendors' own clients see the same in an honest exchange with and without the cage. */

const EXCHANGES = Number(process.env.ORACLE_CLIENT_EXCHANGES ?? 100)
const FIRST = Number(process.env.ORACLE_FIRST ?? 1)

const OPENAI: Program = { file: 'oracle-openai.ts' }
const PROVIDERS: Program = { file: 'oracle_providers.py', environment: '.venv-test-providers' }

interface Client {
  dialect: keyof typeof DIALECTS
  program: Program
  /** Its name in the program. (Default: the dialect's.) */
  whole?: string
  /** The variables with the provider's address and key. */
  variables: (url: string, key: string) => Record<string, string>
}

const openai = (url: string, key: string) => ({ OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: key })
const anthropic = (url: string, key: string) => ({ ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: key })
const named = (url: string, key: string) => ({ ORACLE_URL: url, ORACLE_KEY: key })

const CLIENTS: Client[] = [
  { dialect: 'chat', program: OPENAI, variables: openai },
  { dialect: 'responses', program: OPENAI, variables: openai },
  { dialect: 'anthropic', program: { file: 'oracle-anthropic.ts' }, variables: anthropic },
  { dialect: 'google', program: PROVIDERS, variables: named },
  { dialect: 'ollama', program: PROVIDERS, whole: 'ollama_whole', variables: named },
  { dialect: 'cohere', program: PROVIDERS, whole: 'cohere_whole', variables: named },
]

let provider: OracleProvider
let cage: OracleCage

beforeAll(async () => {
  provider = await openProvider()
  cage = await openCage(provider.url, process.env.ORACLE_PROGRAM)
})
afterAll(async () => {
  await cage.close()
  await provider.close()
})

describe.each(CLIENTS)('$dialect, by $program.file', ({ dialect, program, whole = dialect, variables }) => {
  test('each object, piece and error is that of the bare provider', async () => {
    const running = await RunningProgram.start(program, { PATH: process.env.PATH!, HOME: '/' })
    const differences: object[] = []
    for (let seed = FIRST; seed < FIRST + EXCHANGES / CLIENTS.length; seed += 1) {
      const { body, isStream, provider: name, liberties, answer } = exchangeOf(seed, dialect)
      // Some clients fail at a BOM, or at compression that they did not ask for.
      const isAnswer = answer({}).status === 200 && !liberties.includes('error inside the stream')
      const ask = (url: string, key: string) =>
        running.run({
          case: isStream ? `${dialect}_streamed` : whole,
          model: 'oracle',
          environment: { ...variables(url, key), ORACLE_BODY: JSON.stringify(body) },
        })
      const bare = await ask(provider.url, 'of the user')
      const isRead = !bare.error && (bare.result?.chunks as unknown[] | undefined)?.length !== 0
      if (isAnswer && !isRead) continue
      const caged = await ask(`${cage.url}/gateway/${name}`, cage.token)
      if (JSON.stringify(bare) !== JSON.stringify(caged)) differences.push({ seed, liberties, bare, caged })
    }
    await running.stop()
    expect(differences).toEqual([])
  })
})
