import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isLinkLocal } from '../../src/config/addresses.ts'
import { parseTypedAmount } from '../../src/config/amount.ts'
import { loadConfig, type Setting, shownLeaves } from '../../src/config/config.ts'
import { readEnvironment } from '../../src/config/env.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'iron-cage-config-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

const budgetFlag = (value: string): Setting => ({ key: ['budget', 'limit_usd'], value, origin: '--budget' })

function load(variables: NodeJS.ProcessEnv = {}, flags: Setting[] = [], more: { scriptDir?: string } = {}) {
  return loadConfig({ flags, env: readEnvironment(variables), cwd, ...more })
}

describe('the origin of a value', () => {
  test('a flag wins over a variable, a variable over the file, the file over the default', () => {
    writeFileSync(join(cwd, 'iron-cage.yaml'), '# ours\nbudget:\n  limit_usd: 10\nserver: { port: 81, host: "::1" }\n')
    const { config, origins } = load({ IRON_CAGE_BUDGET: '20', IRON_CAGE_PORT: '82' }, [budgetFlag('30')])
    expect(config).toMatchObject({ budget: { limit_usd: '30' }, server: { port: 82, host: '::1' } })
    expect(origins).toMatchObject({
      'budget.limit_usd': '--budget',
      'server.port': 'IRON_CAGE_PORT',
      'server.host': 'iron-cage.yaml:4',
      'budget.warn_at': 'default',
    })
  })

  test('the address of a provider in the variable of its clients counts where the file has none', () => {
    const variables = { OPENAI_BASE_URL: 'http://mine/v1', ANTHROPIC_API_URL: 'http://theirs' }
    expect(load(variables).config.providers).toMatchObject({
      openai: { base_url: 'http://mine/v1' },
      anthropic: { base_url: 'http://theirs' },
    })
    expect(load(variables).origins['providers.openai.base_url']).toBe('OPENAI_BASE_URL')
    writeFileSync(join(cwd, 'iron-cage.yaml'), 'providers: { openai: { base_url: "http://file/v1", retries: 0 } }\n')
    expect(load(variables).config.providers.openai).toMatchObject({ base_url: 'http://file/v1', retries: 0 })
    expect(() => load({ ANTHROPIC_BASE_URL: 'theirs:80' })).toThrow('ANTHROPIC_BASE_URL: providers.anthropic.base_url')
  })

  test('a known provider that the user has somewhere else is caged there, without a line in the file', () => {
    const at = (variables: Record<string, string>) =>
      Object.fromEntries(
        Object.entries(load(variables).config.providers).flatMap(([name, { base_url }]) =>
          base_url === undefined ? [] : [[name, base_url]],
        ),
      )
    expect(at({ AZURE_OPENAI_ENDPOINT: 'https://my.openai.azure.com' })).toEqual({
      azure: 'https://my.openai.azure.com',
    })
    const bedrock = 'https://bedrock-runtime.eu-central-1.amazonaws.com'
    expect(at({ AWS_ENDPOINT_URL_BEDROCK_RUNTIME: bedrock })).toEqual({ bedrock })
    expect(at({ ANTHROPIC_VERTEX_BASE_URL: 'https://aiplatform.googleapis.com/v1' })).toEqual({
      vertex: 'https://aiplatform.googleapis.com',
    })
    expect(at({ GROQ_BASE_URL: 'https://groq.mine' })).toEqual({ groq: 'https://groq.mine/openai/v1' })
    expect(at({ GROQ_API_BASE: 'https://groq.mine/openai/v1' })).toEqual({ groq: 'https://groq.mine/openai/v1' })
    expect(at({ OLLAMA_HOST: 'http://127.0.0.1:8080/gateway/run-0123456789ab/ollama' })).toEqual({})
  })

  test.each([
    ['0.0.0.0', 'http://127.0.0.1:11434'],
    ['gpu.house', 'http://gpu.house:11434'],
    ['gpu.house:8000', 'http://gpu.house:8000'],
    [':8000', 'http://127.0.0.1:8000'],
    ['http://gpu.house', 'http://gpu.house:80'],
    ['https://gpu.house/ollama/', 'https://gpu.house:443/ollama'],
    ['[::1]:11434', 'http://[::1]:11434'],
  ])('OLLAMA_HOST=%s is read as Ollama reads it', (value, expected) => {
    expect(load({ OLLAMA_HOST: value }).config.providers.ollama?.base_url).toBe(expected)
  })

  test('the address of another gateway of ours is none of a provider', () => {
    const { config } = load({ OPENAI_BASE_URL: 'http://127.0.0.1:8080/gateway/run-0123456789ab/openai/v1' })
    expect(config.providers.openai.base_url).toBeUndefined()
  })

  test('proxies and certificates are taken from the variables that other programs read', () => {
    const variables = {
      HTTPS_PROXY: 'proxy:3128',
      http_proxy: 'socks5://proxy',
      NO_PROXY: 'intern',
      SSL_CERT_FILE: '/ca',
    }
    const { config, origins } = load(variables)
    expect(config.network).toEqual({
      https_proxy: 'http://proxy:3128',
      no_proxy: 'intern,localhost,127.0.0.1,::1',
      ca_file: '/ca',
    })
    expect(origins['network.https_proxy']).toBe('HTTPS_PROXY')
    writeFileSync(join(cwd, 'iron-cage.yaml'), 'network: { https_proxy: "http://ann:pw@own:1" }\n')
    const loaded = load(variables)
    expect(loaded.config.network.https_proxy).toBe('http://ann:pw@own:1')
    expect(JSON.stringify(shownLeaves(loaded))).not.toContain('pw@')
  })

  test('a collector of traces is taken from the variables that other programs read, unless it takes gRPC alone', () => {
    const variables = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318',
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20cGs=, x-scope=team',
      OTEL_SERVICE_NAME: 'sales',
    }
    const loaded = load(variables)
    expect(loaded.config.otel).toEqual({
      endpoint: 'http://localhost:4318',
      headers: { authorization: 'Basic cGs=', 'x-scope': 'team' },
      service_name: 'sales',
    })
    expect(loaded.origins['otel.endpoint']).toBe('OTEL_EXPORTER_OTLP_ENDPOINT')
    expect(JSON.stringify(shownLeaves(loaded))).not.toContain('cGs=')
    for (const off of [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, { OTEL_SDK_DISABLED: 'true' }]) {
      expect(load({ ...variables, ...off }).config.otel.endpoint).toBeUndefined()
    }
  })

  test('every value has one', () => {
    writeFileSync(
      join(cwd, 'iron-cage.toml'),
      '[alerts.email]\nto = "a@b.example"\nfrom = "c@d.example"\nsmtp_url = "smtp://h"\n',
    )
    const loaded = load()
    expect(shownLeaves(loaded).map(({ key }) => key)).toEqual(Object.keys(loaded.origins))
    expect(loaded.origins).toMatchObject({ 'alerts.email.to': 'iron-cage.toml:2', 'log.retention_days': 'default' })
  })

  test('without file, flag or variable all is default, and the limit is $100', () => {
    const { config, origins, file } = load()
    expect(file).toBeNull()
    expect(new Set(Object.values(origins))).toEqual(new Set(['default']))
    expect(config.budget.limit_usd).toBe('100')
    expect(config.alerts).toEqual({ webhooks: [] })
    expect(config.providers.openai.retries).toBe(2)
  })
})

describe('the configuration file that is read', () => {
  beforeEach(() => {
    mkdirSync(join(cwd, 'agents'))
    writeFileSync(join(cwd, 'agents', 'iron-cage.yml'), 'budget: { limit_usd: 1 }\n')
    writeFileSync(join(cwd, 'named.toml'), '[budget]\nlimit_usd = 2\n')
    writeFileSync(join(cwd, 'other.yaml'), 'budget: { limit_usd: 3 }\n')
  })
  const scriptDir = () => ({ scriptDir: join(cwd, 'agents') })

  test('the one beside the script, when the working directory has none', () => {
    const { config, file, origins } = load({}, [], scriptDir())
    expect(config.budget.limit_usd).toBe('1')
    expect(file).toBe(join(cwd, 'agents', 'iron-cage.yml'))
    expect(origins['budget.limit_usd']).toBe(`${join('agents', 'iron-cage.yml')}:1`)
  })

  test('the configuration file in the working directory comes before the one beside the script', () => {
    writeFileSync(join(cwd, 'iron-cage.toml'), '[budget]\nlimit_usd = 4\n')
    expect(load({}, [], scriptDir()).config.budget.limit_usd).toBe('4')
  })

  test('IRON_CAGE_CONFIG comes before those files, and --config before all', () => {
    const env = { IRON_CAGE_CONFIG: 'named.toml' }
    expect(load(env, [], scriptDir()).config.budget.limit_usd).toBe('2')
    const flagged = loadConfig({ configFile: 'other.yaml', env: readEnvironment(env), cwd, ...scriptDir() })
    expect(flagged.config.budget.limit_usd).toBe('3')
  })

  test('two configuration files in one folder are refused as ambiguous', () => {
    writeFileSync(join(cwd, 'iron-cage.yaml'), '')
    writeFileSync(join(cwd, 'iron-cage.toml'), '')
    expect(() => load()).toThrow('iron-cage.yaml: iron-cage.toml also exists; keep one of them')
  })

  test('an empty file is a file without values', () => {
    writeFileSync(join(cwd, 'iron-cage.yaml'), '# nothing yet\n')
    expect(load().config.budget.limit_usd).toBe('100')
  })
})

describe('an amount', () => {
  test.each([
    ['50', '50'],
    ['50.00', '50'],
    ['$50', '50'],
    [' 50 ', '50'],
    ['0.000000001', '0.000000001'],
    ['9000000', '9000000'],
  ])('"%s" typed into a terminal is %s', (text, usd) => {
    expect(parseTypedAmount(text, '--budget')).toBe(usd)
    expect(load({}, [budgetFlag(text)]).config.budget.limit_usd).toBe(usd)
    expect(load({ IRON_CAGE_BUDGET: text }).config.budget.limit_usd).toBe(usd)
  })

  test.each([
    '-1',
    '+5',
    'NaN',
    'Infinity',
    'inf',
    '1e309',
    '50abc',
    '0x10',
    '1_000',
    '1,000',
    '5e1',
    '٥٠',
    '５０',
    '$',
    '$-5',
    '5.',
    '.5',
    '50 €',
    '9000001',
    '0.0000000001',
  ])('"%s" is refused by name, with a right example', (text) => {
    for (const run of [() => load({}, [budgetFlag(text)]), () => load({ IRON_CAGE_BUDGET: text })]) {
      expect(run).toThrow(`"${text}" is not an amount of US dollars`)
      expect(run).toThrow(
        expect.objectContaining({ code: 'invalid_amount', hint: expect.stringContaining("50, 50.00 or '$50'") }),
      )
    }
  })

  test.each(['', '0', '0.00', '$0', ' '])(
    '"%s", which a shell makes of $50, is refused with a hint to quote the amount',
    (text) => {
      for (const [run, where] of [
        [() => load({}, [budgetFlag(text)]), '--budget'],
        [() => load({ IRON_CAGE_BUDGET: text }), 'IRON_CAGE_BUDGET'],
      ] as const) {
        expect(run).toThrow(`${where} arrived as "${text}"; a shell turns an unquoted $50 into that`)
        expect(run).toThrow(expect.objectContaining({ hint: expect.stringContaining("'$50' in single quotes") }))
      }
    },
  )

  test.each([
    ['0', '0'],
    ['50', '50'],
    ['"50.00"', '50'],
    ['$50', '50'],
    ['5.29', '5.29'],
    ['0.1', '0.1'],
    ['0.0000001', '0.0000001'],
    ['1234567.89', '1234567.89'],
  ])('limit_usd: %s in a file is %s', (text, usd) => {
    writeFileSync(join(cwd, 'iron-cage.yaml'), `budget:\n  limit_usd: ${text}\n`)
    expect(load().config.budget.limit_usd).toBe(usd)
  })
})

test('an empty variable counts as not set', () => {
  const env = { IRON_CAGE_CONFIG: '', IRON_CAGE_PORT: '', IRON_CAGE_SAFETY_MODE: '', IRON_CAGE_URL: '', NO_COLOR: '' }
  expect(load(env).config.server.port).toBe(8080)
  expect(readEnvironment(env)).toMatchObject({ serverUrl: undefined, noColor: false })
})

test('one address for e-mail or several are a list afterwards', () => {
  const email = (to: string) => `alerts:\n  email: { to: ${to}, from: c@d.example, smtp_url: "smtps://u:p@h" }\n`
  writeFileSync(join(cwd, 'iron-cage.yaml'), email('a@b.example'))
  expect(load().config.alerts.email?.to).toEqual(['a@b.example'])
  writeFileSync(join(cwd, 'iron-cage.yaml'), email('[a@b.example, e@f.example]'))
  expect(load().config.alerts.email?.to).toEqual(['a@b.example', 'e@f.example'])
})

test('secret settings are never shown', () => {
  writeFileSync(
    join(cwd, 'iron-cage.yaml'),
    `
agent: { env: { KEY: canary-1 }, args: [--api-key, canary-2] }
alerts:
  email: { to: a@b.example, from: c@d.example, smtp_url: "smtp://user:canary-3@mail.example:25" }
  webhooks:
    - { url: "https://hooks.example/services/canary-4?token=canary-5", secret: canary-6 }
`,
  )
  const shown = shownLeaves(load())
  expect(JSON.stringify(shown)).not.toContain('canary')
  expect(Object.fromEntries(shown.map(({ key, value }) => [key, value]))).toMatchObject({
    'agent.args': '(hidden)',
    'agent.env.KEY': '(hidden)',
    'alerts.email.smtp_url': 'smtp://user:(hidden)@mail.example:25',
    'alerts.webhooks[0].url': 'https://hooks.example/…',
    'alerts.webhooks[0].secret': '(hidden)',
  })
})

test.each([
  ['169.254.169.254', true],
  ['[fe80::1]', true],
  ['febf::1', true],
  ['[::ffff:a9fe:a9fe]', true],
  ['::ffff:169.254.0.1', true],
  ['169.253.0.1', false],
  ['fec0::1', false],
  ['127.0.0.1', false],
  ['169.254.example.com', false],
  ['hooks.example', false],
])('%s is link-local: %s', (host, expected) => {
  expect(isLinkLocal(host)).toBe(expected)
})
