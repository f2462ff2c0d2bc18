import { describe, expect, test } from 'vitest'
import { isOrdinaryValue } from '../../../src/redaction/known/ordinary-value.ts'
import { DEFAULT_POLICY } from '../../../src/redaction/policy.ts'
import { Redactor } from '../../../src/redaction/redactor.ts'

test.each(
  'prod postgres customers Production ADMINISTRATOR us-east-1 ap-southeast-2 redis-master public.customers kubernetes'.split(
    ' ',
  ),
)('%s is an ordinary value', (value) => expect(isOrdinaryValue(value)).toBe(true))

test.each(
  'hunter2-hunter2 sesame42 correct-horse-battery-staple correcthorsebattery qwmdkeiz kqz-xvw-prt Winter21 password1 12345678'.split(
    ' ',
  ),
)('%s is none', (value) => expect(isOrdinaryValue(value)).toBe(false))

const redactor = new Redactor(DEFAULT_POLICY)
redactor.know([
  { name: 'DB_USER', value: 'postgres' },
  { name: 'STAGE', value: 'prod' },
  { name: 'DB_NAME', value: 'customers' },
  { name: 'DB_LOGIN', value: 'hunter' },
  { name: 'ON', value: 'on' },
])
const redact = (text: string): string => redactor.redact(text).text

describe('an ordinary value', () => {
  test.each([
    'connecting to postgres, table customers',
    'select count(*) from customers',
    'a product in prod',
    'hunter',
    'postgresql',
    'https://docs.acme.com/customers',
    'STAGE=production',
    'ON=on',
  ])('an ordinary value stays in %s', (text) => expect(redact(text)).toBe(text))

  test.each([
    ['DB_USER=postgres', 'DB_USER=[SECRET_REDACTED]'],
    ['export STAGE="prod"', 'export STAGE="[SECRET_REDACTED]"'],
    ['{"DB_USER": "postgres"}', '{"DB_USER": "[SECRET_REDACTED]"}'],
    ["environ['DB_USER'] = 'postgres'", "environ['DB_USER'] = '[SECRET_REDACTED]'"],
    ['PGPASSWORD=hunter psql', 'PGPASSWORD=[SECRET_REDACTED] psql'],
    ['password: hunter', 'password: [SECRET_REDACTED]'],
    ['The password is hunter.', 'The password is [SECRET_REDACTED].'],
    ['login --token hunter', 'login --token [SECRET_REDACTED]'],
    ['redis://app:prod@cache:6379', 'redis://app:[SECRET_REDACTED]@cache:6379'],
    ['mysql://db.acme.com/customers', 'mysql://db.acme.com/[SECRET_REDACTED]'],
    ['host=db user=postgres dbname=customers', 'host=db user=[SECRET_REDACTED] dbname=[SECRET_REDACTED]'],
  ])('an ordinary value is replaced where it is given as a secret: %s', (text, safe) => expect(redact(text)).toBe(safe))

  test('an ordinary value is found the same however the text is cut', () => {
    const text = 'DB_USER=postgres in postgres, postgres://postgres:hunter@db/customers and password: prod'
    const whole = redact(text)
    for (let cut = 1; cut < text.length; cut++) {
      const stream = redactor.stream()
      expect(stream.push(text.slice(0, cut)) + stream.end(text.slice(cut))).toBe(whole)
    }
    expect(whole.match(/\[SECRET_REDACTED\]/g)).toHaveLength(4)
  })
})

test('a secret that is the user of a URL is replaced with its password', () => {
  const known = new Redactor(DEFAULT_POLICY)
  known.know([{ value: 'sesame42' }])
  expect(known.redact('https://sesame42:pa55word-x@acme.com').text).toBe('https://[SECRET_REDACTED]@acme.com')
})
