import fc from 'fast-check'
import { SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { ACCESS_TOKEN_HEADER, holdsOwnToken, newToken, TOKEN_KINDS } from '../../../src/core/tokens.ts'
import { DEFAULT_POLICY, type Policy, SECRETS_ONLY } from '../../../src/redaction/policy.ts'
import { findPii, Redactor } from '../../../src/redaction/redactor.ts'

const jwt = (): Promise<string> =>
  new SignJWT({ role: 'admin' })
    .setProtectedHeader(ACCESS_TOKEN_HEADER)
    .setSubject('session-1')
    .sign(Buffer.alloc(32, 'key'))

const KINDS = [...TOKEN_KINDS.map((kind) => [kind, async () => newToken(kind)] as const), ['jwt', jwt] as const]

/** Policies that look for as little as there is. */
const POLICIES: [string, Policy][] = [
  ['the default one', DEFAULT_POLICY],
  ['one that warns', { ...DEFAULT_POLICY, mode: 'warn' }],
  ['one that warns of secrets', { ...DEFAULT_POLICY, modes: { secret: 'warn' } }],
  ['one that detects nothing', { ...DEFAULT_POLICY, detect: [], mode: 'warn' }],
  ['one for secrets alone', SECRETS_ONLY],
]

describe.each(POLICIES)('under %s', (_name, policy) => {
  const redactor = new Redactor(policy)

  test.each(KINDS)('a token (%s) is taken out wherever it stands', async (_kind, make) => {
    const token = await make()
    for (const [before, after] of [
      ['', ''],
      ['http://127.0.0.1:8080/gateway/', '/openai/v1/chat/completions'],
      ['IRON_CAGE_TOKEN=', '\n'],
      ["'key': '", "',"],
      ['my_', ' '],
      ['glued', '.'],
      ['{"a":"\\n', '"}'],
    ]) {
      const { text, findings } = redactor.redact(before + token + after)
      expect(text).toBe(`${before}[SECRET_REDACTED]${after}`)
      expect(findings).toMatchObject([{ type: 'secret', action: 'redact', value: token }])
    }
  })

  test.each(KINDS)('a token (%s) that arrives in pieces is taken out wherever it is cut', async (_kind, make) => {
    const token = await make()
    const piece = fc.string({ maxLength: 60 })
    fc.assert(
      fc.property(piece, piece, fc.array(fc.nat(200), { maxLength: 6 }), (before, after, cuts) => {
        const whole = `${before} ${token} ${after}`
        const stream = redactor.stream()
        const places = [0, ...cuts.filter((cut) => cut < whole.length).sort((a, b) => a - b), whole.length]
        const out = places.slice(1).map((place, index) => stream.push(whole.slice(places[index], place)))
        const text = out.join('') + stream.end()
        expect(text).not.toContain(token.slice(-20))
        expect(text).toBe(redactor.redact(whole).text)
      }),
      { numRuns: 200 },
    )
  })
})

test('scan knows the form of each', async () => {
  for (const [, make] of KINDS) {
    const token = await make()
    expect(findPii(`key ${token} end`)).toMatchObject([{ type: 'secret', start: 4, end: 4 + token.length }])
  }
})

test('the whole of a refresh token is taken out, with the id of its session', () => {
  const token = `${newToken('refresh')}.session-0123456789abcdef0123456789abcdef`
  expect(new Redactor(SECRETS_ONLY).redact(`${token}. Next`).text).toBe('[SECRET_REDACTED]. Next')
})

test('names of functions and texts in Base64 are no tokens', () => {
  const redactor = new Redactor(SECRETS_ONLY)
  const random = 'Zx8Qw3Lk9Rt2Vb7Nm4Hj6Fd1Sa5Gc0PyKuTeZx8Qw3LX'
  for (const text of [
    'def test_run_that_an_agent_is_stopped_when_its_budget_is_spent_and_no_earlier():',
    'run_aH5IPj… ic_short run_ code_',
    `${random}ic_${random}${random}`,
  ]) {
    expect(redactor.redact(text).text).toBe(text)
    expect(holdsOwnToken(text)).toBe(false)
  }
})

/** Forms in which clients send a key. */
const placesOf = (token: string): string[] => [
  token,
  `Bearer ${token}`,
  `Basic ${Buffer.from(`user:${token}`).toString('base64')}`,
  `/v1/models?key=${encodeURIComponent(token)}`,
  `/v1/models?key=${token.replaceAll(/[_-]/g, (mark) => `%${mark.charCodeAt(0).toString(16)}`)}`,
]

test.each(KINDS)(
  'a token (%s) is recognized in any place where a client may put it, and half of one is not',
  async (_, make) => {
    const token = await make()
    for (const text of placesOf(token)) expect(holdsOwnToken(text), text).toBe(true)
    for (const text of placesOf(token.slice(0, 30))) expect(holdsOwnToken(text), text).toBe(false)
  },
)
