import { describe, expect, test } from 'vitest'
import { DEFAULT_POLICY } from '../../src/redaction/policy.ts'
import { Redactor } from '../../src/redaction/redactor.ts'
import { found } from '../support/found.ts'

const FOUND: [text: string, ...values: string[]][] = [
  // National ids: by their form and check digits.
  ['CPF 111.444.777-35', 'national_id:111.444.777-35'],
  ['DNI 12345678Z, NIE X1234567L', 'national_id:12345678Z', 'national_id:X1234567L'],
  ['{"ids":"\\n12345678Z\\nX1234567L"}', 'national_id:12345678Z', 'national_id:X1234567L'],
  ['NRIC S1234567D', 'national_id:S1234567D'],
  ['RSSMRA85T10A562S', 'national_id:RSSMRA85T10A562S'],
  ['身份证11010519491231002X', 'national_id:11010519491231002X'],
  ['AHV 756.9217.0769.85', 'national_id:756.9217.0769.85'],
  ['row 12 756.9217.0769.85 13', 'national_id:756.9217.0769.85'],
  ['HETU 131052-308T', 'national_id:131052-308T'],
  ['personnummer 811218-9876', 'national_id:811218-9876'],
  ['NINO AB123456C', 'national_id:AB123456C'],
  // Or behind a label, where they are nothing but digits.
  ['PESEL: 44051401359, T.C. kimlik no: 10000000146', 'national_id:44051401359', 'national_id:10000000146'],
  ['NHS number: 9434765919', 'national_id:9434765919'],
  ['BSN 111222333; SIN 046 454 286', 'national_id:111222333', 'national_id:046 454 286'],
  ['Steuer-ID 86095742719', 'national_id:86095742719'],
  // Dates of birth and documents: behind their label.
  ['DOB: 1985-03-12, born on 12.03.1985', 'date_of_birth:1985-03-12', 'date_of_birth:12.03.1985'],
  ['"date_of_birth": "03/12/1985"', 'date_of_birth:03/12/1985'],
  ['Date of birth: March 12, 1985; geboren am 1. 2. 1985', 'date_of_birth:12, 1985'],
  ['né le 12/03/1985, 出生日期：1985-03-12', 'date_of_birth:12/03/1985', 'date_of_birth:1985-03-12'],
  ['Passport number: C01234567', 'document_number:C01234567'],
  ["driver's license D1234567, Reisepass Nr. C01X00T47", 'document_number:D1234567', 'document_number:C01X00T47'],
  ['"passport_no": "123456789"', 'document_number:123456789'],
  // Wallets.
  ['send to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa', 'crypto_wallet:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa'],
  ['bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4', 'crypto_wallet:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4'],
  ['0x52908400098527886E0F7030069857D2E4169EE7', 'crypto_wallet:0x52908400098527886E0F7030069857D2E4169EE7'],
  // Hardware.
  ['eth0 00:1A:2B:3C:4D:5E up, 3c-22-fb-01-02-03', 'mac:00:1A:2B:3C:4D:5E', 'mac:3c-22-fb-01-02-03'],
]

const LEFT_ALONE = [
  'CPF 111.444.777-36, 111.111.111-11, 12345678A, X1234567A, S1234567A, RSSMRA85T10A562T',
  '44051401359, 10000000146, 943 476 5919, 111222333, 86095742719, 811318-9876',
  'released on 1985-03-12, due 12.03.1985, March 12, 1985; born in 1985; DOB: unknown',
  'passport.js v10.2.3456, license 2.0, passport: required, number 123456789',
  '1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb, bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5, 0xdeadbeef',
  '12:30:45:10:20:30:40, 00:00:00:00:00:00, ab:cd, 2026-01-02-03-04-05-06, aa:bb:cc:dd:ee:ff:00:11',
]

describe('types that are looked for on request', () => {
  test.each(FOUND)('%j', (text, ...values) => {
    expect(found(text)).toEqual(values)
  })

  test.each(LEFT_ALONE)('types on request are not found in %j', (text) => {
    expect(found(text).filter((value) => !/^(?:phone|ssn)/.test(value))).toEqual([])
  })

  test('types on request are left in place until the configuration names them', () => {
    const text = 'CPF 111.444.777-35, DOB: 1985-03-12, 00:1A:2B:3C:4D:5E'
    const redact = (detect: typeof DEFAULT_POLICY.detect) =>
      new Redactor({ ...DEFAULT_POLICY, detect }).redact(text).text
    expect(redact(DEFAULT_POLICY.detect)).toBe(text)
    expect(redact(['mac'])).toBe('CPF 111.444.777-35, DOB: 1985-03-12, [MAC_REDACTED]')
    expect(redact(['national_id', 'date_of_birth'])).toBe(
      'CPF [NATIONAL_ID_REDACTED], DOB: [DATE_OF_BIRTH_REDACTED], 00:1A:2B:3C:4D:5E',
    )
  })
})
