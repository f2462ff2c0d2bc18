import { describe, expect, test } from 'vitest'
import { secretKind } from '../../../src/redaction/secrets/secret-name.ts'

describe('the kind of value that a name suggests', () => {
  test.each([
    ['DB_PASSWORD', 'password'],
    ['password_prod_2', 'password'],
    ['adafruitToken4', 'token'],
    ['secret_key_base64', 'token'],
    ['token_12_34', 'token'],
    ['sort_key', null],
    ['token_url', null],
    ['b64', null],
  ])('%s: %s', (name, kind) => {
    expect(secretKind(name)).toBe(kind)
  })

  // A name that can be read in 2^60 ways would stop the process for good.
  test.each([
    ['digits', '0132'.repeat(16)],
    ['digits behind underscores', '_11'.repeat(20)],
    ['endings of names', '_b64_str'.repeat(8)],
  ])('a name of %s is read in one way only', (_, name) => {
    expect(secretKind(`${name}key`)).toBe(null)
  })
})
