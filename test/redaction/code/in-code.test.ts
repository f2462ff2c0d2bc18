/**
 * Values that are left alone in the arguments of tools and in fenced blocks, and values that are found there all the
 * same.
 */
import { describe, expect, test } from 'vitest'
import { DEFAULT_POLICY } from '../../../src/redaction/policy.ts'
import { Redactor } from '../../../src/redaction/redactor.ts'
import fc from '../../support/fast-check.ts'

const redactor = new Redactor(DEFAULT_POLICY)
const inCode = (text: string): string => redactor.redact(text, { isCode: true }).text
const inText = (text: string): string => redactor.redact(text).text

/** No personal data in code, although it has the form of personal data in a text. */
const EXAMPLES: [what: string, text: string][] = [
  ['a product of matrices and a method', '{"content":"y = W@x.to(device)\\nloss = (y - t).mean()"}'],
  ['a method that goes on after a top-level domain', 'y = W@x.to_dense() + q@k.data.mean'],
  ['an attribute', 'y = weights@inputs.data'],
  ['two letters and an attribute', 'z = a@b.name'],
  ['an address of a reserved domain', "assert is_valid('user@example.com') and ok('a.b@mail.example.org')"],
  ['an address of a reserved top-level domain', 'curl -d email=foo@bar.test http://localhost:3000'],
  ['an address without a reader', 'Co-Authored-By: Claude <noreply@anthropic.com>'],
  ['an address of a sender alone', '"from": "calendar-no-reply@google.com"'],
  ['an address that hides another', '41898282+jane@users.noreply.github.com'],
  ['an address of a bot', 'Co-authored-by: aider (gpt-4o) <aider@aider.chat>'],
  ['a template', 'printf "%s@mail.com" "$USER"'],
  ['a card to test with', '{ card: { number: "4242424242424242" } }'],
  ['a card to test with in groups', 'card 5555 3412 4444 1115'],
  ['an IBAN of the registry', 'validateIban("DE89370400440532013000")'],
  ['an IBAN of the registry in groups', 'GB29 NWBK 6016 1331 9268 19'],
  ['the id of a key of documentation', 'aws_access_key_id = AKIAIOSFODNN7EXAMPLE'],
  ['a key of documentation', "stripe.api_key = 'sk_test_4eC39HqLyjWDarjtT1zdp7dc'"],
  ['three numbers', 'awk "NR>=100" | split --range 100-200-3000'],
  ['an id that passes the check of cards', '{"trace_id": "4532015112830366", "span": 7}'],
  ['a number of a name that only begins like one for phones', '{"phone_model":"917-490-1548"}'],
  ['a number of a name for sums', '{"tel_aviv_population": "206-898-7050"}'],
]

/** Accounts in commands are no addresses in a sentence either. */
const ACCOUNTS: [what: string, text: string][] = [
  ['ssh', 'ssh -i key.pem -p 22 deploy@web1.acme.com uptime'],
  ['scp', 'scp jane@host.acme.com:/tmp/out.txt .'],
  ['git', 'git clone git@github.com:org/repo.git'],
  ['a prompt', 'root@web1.acme.com:~# ls'],
  ['a prompt in brackets', '[root@web1.acme.com app]# ls'],
  ['a version', 'pip install numpy@1.26.4.dev'],
  ['an image', 'redis@sha256:1b36e146475b71ae04da9bd6d7cd1d9b5e2b2a3f1c0e8d7e6f5a4b3c2d1e0f9a'],
  ['a package', 'npm i @types/node@20.1.0 lodash@^4'],
]

/** Personal data, in code too. */
const REAL: [what: string, text: string, safe: string][] = [
  ['an address', '{"to":"jane@acme.com"}', '{"to":"[EMAIL_REDACTED]"}'],
  ['an address in a sentence', 'Mail jane@acme.com, please.', 'Mail [EMAIL_REDACTED], please.'],
  ['an author', 'git config user.email jane@acme.com', 'git config user.email [EMAIL_REDACTED]'],
  ['an address before a password', 'jane@acme.com:Passw0rd1', '[EMAIL_REDACTED]:Passw0rd1'],
  ['a named phone', '{"phone":"415-733-2671"}', '{"phone":"[PHONE_REDACTED]"}'],
  ['a phone in quotes', "VALUES ('Jane', '415-733-2671')", "VALUES ('Jane', '[PHONE_REDACTED]')"],
  ['a phone with its country', 'sms +1 415 733 2671', 'sms [PHONE_REDACTED]'],
  ['a phone after a verb', 'Call me at 415-733-2671.', 'Call me at [PHONE_REDACTED].'],
  ['a named card', '{"card":"4539578763621486"}', '{"card":"[CREDIT_CARD_REDACTED]"}'],
  ['a card in groups', '4539 5787 6362 1486', '[CREDIT_CARD_REDACTED]'],
  ['an IBAN', 'DE07 1234 1234 1234 1234 12', '[IBAN_REDACTED]'],
  ['a social security number', '219-09-9998', '[SSN_REDACTED]'],
  ['a key', 'AKIAIOSFODNN7QWERTYU', '[SECRET_REDACTED]'],
  ['a key that begins like one of documentation', 'sk_test_4eC39HqLyjWDarjtT1zdp7dcA1', '[SECRET_REDACTED]'],
]

describe('in code', () => {
  test.each(EXAMPLES)('%s stays', (_, text) => expect(inCode(text)).toBe(text))
  test.each(ACCOUNTS)('%s stays, as in a sentence', (_, text) =>
    expect([inCode(text), inText(text)]).toEqual([text, text]),
  )
  test.each(REAL)('%s is found', (_, text, safe) => expect(inCode(text)).toBe(safe))
  test('names of units and clusters stay', () => {
    const text = 'systemctl start app@web.target && kubectl --context admin@prod.acme.io get pods'
    expect(inCode(text)).toBe(text)
  })
  test('a command ends with its line', () => {
    expect(inCode('{"c":"ssh web1\\nmail jane@acme.com"}')).toBe('{"c":"ssh web1\\nmail [EMAIL_REDACTED]"}')
    expect(inText('ssh web1, then mail jane@acme.com')).toBe('ssh web1, then mail [EMAIL_REDACTED]')
  })
})

test('text after an example is read as it stands', () => {
  const text = `{"a":"user@example.com","b":"$USER@mail.com","phone":"415-733-2671","c":"jane@acme.com"}`
  expect(inCode(text)).toBe(
    `{"a":"user@example.com","b":"$USER@mail.com","phone":"[PHONE_REDACTED]","c":"[EMAIL_REDACTED]"}`,
  )
})

test('in a sentence examples are found: visitors type them to try it', () => {
  for (const text of ['user@example.com', 'noreply@anthropic.com', '4242424242424242', 'DE89370400440532013000'])
    expect(inText(`This is ${text}.`)).toMatch(/^This is \[[A-Z_]+_REDACTED\]\.$/)
})

test('a fenced block is code, and the text around it is not', () => {
  const text =
    'Mail user@example.com:\n```py\ny = W@x.to(d)\nto("user@example.com", "jane@acme.com")\n```\nor user@example.com.'
  expect(inText(text)).toBe(
    'Mail [EMAIL_REDACTED]:\n```py\ny = W@x.to(d)\nto("user@example.com", "[EMAIL_REDACTED]")\n```\nor [EMAIL_REDACTED].',
  )
})

const PIECES = [...EXAMPLES, ...ACCOUNTS, ...REAL].map(([, text]) => text)
const MARKS = ['\n', ' ', '\n```\n', '\n````py\n', '```', '`', '"', ':', '(', '\\n', 'x'.repeat(200)]

test('however it is cut, the same is found', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...PIECES, ...MARKS, ...MARKS), { maxLength: 14 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      (pieces, lengths, isCode) => {
        const text = pieces.join('')
        const whole = redactor.redact(text, { isCode })
        const stream = redactor.stream({ isCode })
        let out = ''
        for (let at = 0, i = 0; at < text.length; i++) {
          const length = lengths[i % lengths.length] as number
          out += stream.push(text.slice(at, at + length))
          at += length
        }
        out += stream.end()
        expect(out).toBe(whole.text)
        expect(stream.findings).toEqual(whole.findings)
      },
    ),
    { numRuns: 4_000 },
  )
})
