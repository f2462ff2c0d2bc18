import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { readEnvironment } from '../../src/config/env.ts'

const folder = mkdtempSync(join(tmpdir(), 'iron-cage-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** The lines of the problem, without the title. */
function problems(name: string, content: string | Uint8Array, variables: NodeJS.ProcessEnv = {}): string[] {
  writeFileSync(join(folder, name), content)
  try {
    loadConfig({ configFile: name, env: readEnvironment(variables), cwd: folder })
    return []
  } catch (error) {
    expect(error).toMatchObject({ code: 'invalid_config' })
    return (error as Error).message.split('\n').slice(1)
  }
}

const AMOUNT = 'expected an amount of US dollars such as 50 or "50.00"'
const base = 'services:\n  crm:\n    base_url: https://crm.example\n'

describe('a broken YAML file', () => {
  const rows: [what: string, content: string, ...expected: string[]][] = [
    ['a misspelt section', 'bugdet:\n  limit_usd: 5\n', 'a.yaml:1:1: bugdet: unknown key; did you mean budget?'],
    [
      'a misspelt key',
      'budget:\n  limit: 5\n  wran_at: [0.9]\n',
      'a.yaml:2:3: budget.limit: unknown key; expected one of limit_usd, per_run_usd, server_usd, period, warn_at, on_exhausted, pause_s, on_warn, loops, tools, clamp_max_tokens, baseline',
      'a.yaml:3:3: budget.wran_at: unknown key; did you mean budget.warn_at?',
    ],
    [
      'an unknown time zone',
      'budget:\n  period: { every: day, time_zone: Europe/Atlantis }\n',
      'a.yaml:2:25: budget.period.time_zone: expected a time zone such as Europe/Warsaw, got "Europe/Atlantis"',
    ],
    [
      'a period that is none',
      'budget:\n  period: { every: week }\n',
      'a.yaml:2:13: budget.period.every: expected one of day, month, got "week"',
    ],
    [
      'a budget of the server that is no amount',
      'budget:\n  server_usd: -5\n  per_run_usd: 5e1\n',
      'a.yaml:2:3: budget.server_usd: expected an amount of US dollars such as 50 or "50.00", got -5',
      'a.yaml:3:3: budget.per_run_usd: expected an amount of US dollars such as 50 or "50.00", got "5e1"',
    ],
    [
      'a key in camel case',
      'budget:\n  limitUsd: 5\n',
      'a.yaml:2:3: budget.limitUsd: unknown key; did you mean budget.limit_usd?',
    ],
    [
      'a key in the wrong place',
      'limit_usd: 5\n',
      'a.yaml:1:1: limit_usd: unknown key here; did you mean budget.limit_usd?',
    ],
    ['a duplicate key', 'budget:\n  limit_usd: 5\n  limit_usd: 500\n', 'a.yaml:3:3: duplicate key'],
    [
      'a word that is none of the choices',
      'safety:\n  mode: redcat\n',
      'a.yaml:2:3: safety.mode: expected one of redact, block, warn, got "redcat"; did you mean redact?',
    ],
    [
      'a port beyond the last',
      'server:\n  port: 70000\n',
      'a.yaml:2:3: server.port: expected a whole number from 0 to 65535, got 70000',
    ],
    [
      'a port in text',
      'server:\n  port: "8080"\n',
      'a.yaml:2:3: server.port: expected a whole number from 0 to 65535, got "8080"',
    ],
    [
      'half a port',
      'server:\n  port: 80.5\n',
      'a.yaml:2:3: server.port: expected a whole number from 0 to 65535, got 80.5',
    ],
    [
      'a hexadecimal port',
      'server:\n  port: 0x1F90\n',
      'a.yaml:2:3: server.port: expected a whole number from 0 to 65535, got "0x1F90"',
    ],
    ['a section that is a number', 'budget: 50\n', 'a.yaml:1:1: budget: expected keys with values, got 50'],
    [
      'an empty part of a section',
      'agent:\n  restart:\n',
      'a.yaml:2:3: agent.restart: expected keys with values, got an empty value',
    ],
    ['an empty section that is unknown', 'bugdet:\n', 'a.yaml:1:1: bugdet: unknown key; did you mean budget?'],
    ['a list for a file', '- budget\n', 'a.yaml:1:1: expected keys with values, got a list'],
    ['a text for a list', 'safety:\n  detect: email\n', 'a.yaml:2:3: safety.detect: expected a list, got "email"'],
    [
      'an unknown entry of a list',
      'safety:\n  detect:\n    - email\n    - phnoe\n',
      'a.yaml:4:7: safety.detect[1]: expected a known one such as email, got "phnoe"; did you mean phone?',
    ],
    [
      'a mode for an undetected type',
      'safety:\n  modes: { ip: warn }\n',
      'a.yaml:2:12: safety.modes.ip: expected "ip" in safety.detect as well, got "warn"',
    ],
    [
      'a warning above the limit',
      'budget:\n  warn_at: [0.9, 90]\n',
      'a.yaml:2:18: budget.warn_at[1]: expected a share above 0 and at most 1, such as 0.9, got 90',
    ],
    [
      'no warning at all',
      'budget:\n  warn_at: []\n',
      'a.yaml:2:3: budget.warn_at: expected at least one entry, got a list',
    ],
    [
      'yes for true',
      'agent:\n  restart: { enabled: yes }\n',
      'a.yaml:2:14: agent.restart.enabled: expected true or false, got "yes"',
    ],
    [
      'a service without an address',
      'services:\n  crm: {}\n',
      'a.yaml:2:3: services.crm.base_url: expected an http or https address, got nothing',
    ],
    [
      'an address of another kind',
      'services:\n  crm: { base_url: "ftp://user:hunter2@crm" }\n',
      'a.yaml:2:10: services.crm.base_url: expected an http or https address, got "ftp://user:(hidden)@crm"',
    ],
    [
      'a service with a name in capitals',
      'services:\n  LinkedIn: { base_url: "http://l" }\n',
      'a.yaml:2:3: services.LinkedIn: expected a name of a-z, 0-9, _ and - that begins with a letter as key',
    ],
    [
      'an unknown fallback',
      `${base}    fallback: { cahce: { ttl_s: 60 } }\n`,
      'a.yaml:4:17: services.crm.fallback.cahce: unknown key; did you mean services.crm.fallback.cache?',
    ],
    [
      'too many retries',
      `${base}    retries: 99\n`,
      'a.yaml:4:5: services.crm.retries: expected a whole number from 0 to 10, got 99',
    ],
    [
      'a price per token',
      'prices:\n  gpt-4: { input_per_mtok: 0.00003, output_per_mtok: 60 }\n',
      'a.yaml:2:12: prices.gpt-4.input_per_mtok: expected dollars per million tokens (this looks like a price per token), got 0.00003',
    ],
    [
      'a negative price',
      'prices:\n  gpt-4: { input_per_mtok: 30, output_per_mtok: -60 }\n',
      'a.yaml:2:32: prices.gpt-4.output_per_mtok: expected dollars per million tokens, a number from 0 to 100000, got -60',
    ],
    [
      'half a price',
      'prices:\n  gpt-4: { input_per_mtok: 30 }\n',
      'a.yaml:2:3: prices.gpt-4.output_per_mtok: expected dollars per million tokens, a number from 0 to 100000, got nothing',
    ],
    [
      'a provider of another name without an address',
      'providers:\n  opnai: {}\n',
      'a.yaml:2:3: providers.opnai.base_url: expected an http or https address, got nothing',
    ],
    [
      'a variable that is a number',
      'agent:\n  env: { API_KEY: 12345 }\n',
      'a.yaml:2:10: agent.env.API_KEY: expected text, got a number that is not shown',
    ],
    [
      "a webhook to a cloud's metadata",
      'alerts:\n  webhooks:\n    - url: http://2852039166/latest/token\n',
      'a.yaml:3:7: alerts.webhooks[0].url: expected an address that is not link-local, got "http://2852039166/…"',
    ],
    [
      'a webhook into a file',
      'alerts:\n  webhooks:\n    - url: file:///etc/passwd\n',
      'a.yaml:3:7: alerts.webhooks[0].url: expected an http or https address, got "file:///…"',
    ],
    [
      'an event without alerts',
      'alerts:\n  webhooks:\n    - { url: "https://h", events: [budget.warnd] }\n',
      'a.yaml:3:36: alerts.webhooks[0].events[0]: expected a known one such as budget.warned, got "budget.warnd"; did you mean budget.warned?',
    ],
    [
      'an e-mail alert without a server',
      'alerts:\n  email: { to: ops@example.com, from: cage@example.com }\n',
      'a.yaml:2:3: alerts.email.smtp_url: expected an smtp or smtps address such as smtp://localhost:25, got nothing',
    ],
    [
      'an address with a line break',
      'alerts:\n  email: { to: "a@b.example\\r\\nBcc: c@d.example", from: a@b.example, smtp_url: "smtp://h" }\n',
      'a.yaml:2:12: alerts.email.to: expected an e-mail address, got "a@b.example\\r\\nBcc: c@d.example"',
    ],
    [
      'an origin with a path',
      'server:\n  cors_origins: [https://a.example/app]\n',
      'a.yaml:2:18: server.cors_origins[0]: expected an origin such as https://example.com, without a path, got "https://a.example/app"',
    ],
    ['an anchor that is not there', 'budget: *shared\n', 'a.yaml:1:9: there is no anchor &shared before this'],
    [
      'an alias that refers to itself',
      'services: &all\n  crm: { base_url: "http://l", fallback: { placeholder: *all } }\n',
      'a.yaml:2:57: *all refers to itself',
    ],
    ['an unknown tag', 'budget:\n  limit_usd: !secret 5\n', 'a.yaml:2:14: Unresolved tag: !secret'],
    ['tabs for blanks', 'budget:\n\tlimit_usd: 5\n', 'a.yaml:2:1: Tabs are not allowed as indentation'],
    [
      'an address with a query, which paths cannot be put behind',
      'services:\n  crm: { base_url: "https://crm.example/v1?api-version=2" }\n',
      'a.yaml:2:10: services.crm.base_url: expected an address without user, query (?…) and fragment (#…), got "https://crm.example/v1?api-version=2"',
    ],
    [
      'an address with a user',
      'providers:\n  groq: { base_url: "https://me:hunter2@groq.example/v1" }\n',
      'a.yaml:2:11: providers.groq.base_url: expected an address without user, query (?…) and fragment (#…), got "https://me:(hidden)@groq.example/v1"',
    ],
    [
      'a list that never ends',
      'budget: [1, 2\n',
      'a.yaml:2:1: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    ['two documents', 'budget: {}\n---\nbudget: {}\n', 'a.yaml:2:1: expected one document, another begins here'],
  ]
  test.each(rows)('%s is reported with its position', (_, content, ...expected) => {
    expect(problems('a.yaml', content)).toEqual(expected)
  })

  test('all problems are reported at once, in the order of the file', () => {
    const content =
      'server: { port: -1 }\nbudget:\n  limit_usd: lots\nagent:\n  nmae: x\n  env: { "A B": x }\nsafety: { mode: off }\n'
    expect(problems('a.yaml', content)).toEqual([
      'a.yaml:1:11: server.port: expected a whole number from 0 to 65535, got -1',
      `a.yaml:3:3: budget.limit_usd: ${AMOUNT}, got "lots"`,
      'a.yaml:5:3: agent.nmae: unknown key; did you mean agent.name?',
      'a.yaml:6:10: agent.env["A B"]: expected the name of an environment variable as key',
      'a.yaml:7:11: safety.mode: expected one of redact, block, warn, got "off"',
    ])
  })

  test.each([
    '-1',
    '.nan',
    '.inf',
    '5e1',
    '0x10',
    '1_000',
    '1,000',
    '50abc',
    '٥٠',
    "''",
    '1e309',
    '0.0000000001',
    '[50]',
    '~',
  ])('limit_usd: %s is refused', (amount) => {
    const [problem, ...more] = problems('a.yaml', `budget:\n  limit_usd: ${amount}\n`)
    expect(problem).toMatch(`a.yaml:2:3: budget.limit_usd: ${AMOUNT}, got `)
    expect(more).toEqual([])
  })

  test('a bomb of aliases is refused before it unfolds', () => {
    const levels = 'abcdefghij'.split('').map((name, index, all) => {
      const below = index === 0 ? '"lol"' : `*${all[index - 1]}`
      return `${name}: &${name} [${Array(9).fill(below).join(', ')}]\n`
    })
    expect(problems('a.yaml', levels.join(''))).toEqual(['a.yaml:1:1: too many aliases (*name)'])
  })
})

describe('a broken TOML file', () => {
  const rows: [what: string, content: string, ...expected: string[]][] = [
    [
      'a misspelt key',
      '# comment\n[budget]\nlimit = 5\nwran_at = [0.9]\n',
      'a.toml:3:1: budget.limit: unknown key; expected one of limit_usd, per_run_usd, server_usd, period, warn_at, on_exhausted, pause_s, on_warn, loops, tools, clamp_max_tokens, baseline',
      'a.toml:4:1: budget.wran_at: unknown key; did you mean budget.warn_at?',
    ],
    [
      'a key below a table of tables',
      '[[alerts.webhooks]]\nurl = "https://a"\n\n[[alerts.webhooks]]\n  url = "http://169.254.169.254/"\n',
      'a.toml:5:3: alerts.webhooks[1].url: expected an address that is not link-local, got "http://169.254.169.254/…"',
    ],
    [
      'a quoted table',
      '[prices."gpt-3.5-turbo"]\ninput_per_mtok = -1\noutput_per_mtok = 2\n',
      'a.toml:2:1: prices["gpt-3.5-turbo"].input_per_mtok: expected dollars per million tokens, a number from 0 to 100000, got -1',
    ],
    [
      'a dotted key',
      'server.port = 70_000\n',
      'a.toml:1:1: server.port: expected a whole number from 0 to 65535, got 70000',
    ],
    [
      'an inline table',
      '[services]\ncrm = { base_url = "https://crm", retries = 99 }\n',
      'a.toml:2:35: services.crm.retries: expected a whole number from 0 to 10, got 99',
    ],
    [
      'an entry of a list',
      '[budget]\nwarn_at = [0.5,\n  2]\n',
      'a.toml:3:3: budget.warn_at[1]: expected a share above 0 and at most 1, such as 0.9, got 2',
    ],
    [
      'a key that stands in a text as well',
      '[agent.env]\nNOTE = """\n[server]\nport = 1\n"""\n[server]\nport = 70000\n',
      'a.toml:7:1: server.port: expected a whole number from 0 to 65535, got 70000',
    ],
    [
      'a missing key',
      '[services.crm]\nretries = 1\n',
      'a.toml:1:1: services.crm.base_url: expected an http or https address, got nothing',
    ],
    [
      'a duplicate key',
      '[budget]\nlimit_usd = 5\nlimit_usd = 6\n',
      'a.toml:3:1: trying to redefine an already defined table or value',
    ],
    ['a table that is not closed', '[budget\nlimit_usd = 5\n', 'a.toml:1:8: illegal character in key'],
    ['an infinite limit', '[budget]\nlimit_usd = inf\n', `a.toml:2:1: budget.limit_usd: ${AMOUNT}, got Infinity`],
    ['a date', '[budget]\nlimit_usd = 2026-01-01\n', `a.toml:2:1: budget.limit_usd: ${AMOUNT}, got a date`],
  ]
  test.each(rows)('%s is reported with its position', (_, content, ...expected) => {
    expect(problems('a.toml', content)).toEqual(expected)
  })
})

describe('a file that cannot be read', () => {
  test.each([
    ['text that is not UTF-8', 'b.yaml', Uint8Array.of(0x61, 0x3a, 0xff), 'b.yaml: expected UTF-8 text'],
    ['more than 1 MiB', 'c.yaml', `#${'x'.repeat(1_048_576)}`, 'c.yaml: expected at most 1 MiB, got 1048577 bytes'],
    ['another ending', 'd.json', '{}', 'd.json: expected a name that ends in .yaml, .yml or .toml'],
  ])('%s is refused', (_, name, content, expected) => {
    expect(problems(name, content)).toEqual([expected])
  })

  test('a named file that is not there is an error, not a default', () => {
    expect(() => loadConfig({ configFile: 'missing.yaml', env: readEnvironment({}), cwd: folder })).toThrow(
      'missing.yaml: no such file',
    )
  })
})

test('an invalid flag or variable is reported by its own name', () => {
  writeFileSync(join(folder, 'e.yaml'), 'log: { level: loud }\n')
  const flags = [{ key: ['safety', 'mode'], value: 'none', origin: '--safety-mode' }]
  const env = readEnvironment({ IRON_CAGE_PORT: '8080x', IRON_CAGE_ENV: 'prod' })
  expect(() => loadConfig({ flags, configFile: 'e.yaml', env, cwd: folder })).toThrow(
    [
      'the configuration has 4 problems',
      '--safety-mode: safety.mode: expected one of redact, block, warn, got "none"',
      'e.yaml:1:8: log.level: expected one of debug, info, warn, error, got "loud"',
      'IRON_CAGE_ENV: agent.environment: expected one of development, staging, production, got "prod"',
      'IRON_CAGE_PORT: server.port: expected a whole number from 0 to 65535, got "8080x"',
    ].join('\n'),
  )
})
