import { describe, expect, test } from 'vitest'
import { found } from '../support/found.ts'

const FOUND: [text: string, ...values: string[]][] = [
  // Behind its label a person's number counts for any area.
  ['SSN: 987-65-4321', 'ssn:987-65-4321'],
  ['My social security number is 901-73-6024', 'ssn:901-73-6024'],
  ['ITIN 912-70-1234; "ssn": "912701234"', 'ssn:912-70-1234', 'ssn:912701234'],
  // Cards.
  ['my card: 1234 5678 8765 4321', 'credit_card:1234 5678 8765 4321'],
  ['credit card number 4532 1234 5678 9010', 'credit_card:4532 1234 5678 9010'],
  ['Amex 3782 8224 6310 005', 'credit_card:3782 8224 6310 005'],
  ['Your card 3782-8224-6310-005 was charged', 'credit_card:3782-8224-6310-005'],
  // IBANs in the groups people write.
  ['ES10 0075 0080 11 0600658108', 'iban:ES10 0075 0080 11 0600658108'],
  ['NO 05 15030383041', 'iban:NO 05 15030383041'],
  ['DE89.3704.0044.0532.0130.00', 'iban:DE89.3704.0044.0532.0130.00'],
]

const LEFT_ALONE = [
  '987-65-4321, area 912-70-1234, session number 912701234, SSN: 000-00-0000',
  '1234 5678 8765 4321; card id 1234 5678 8765 4321; card: 0000 0000 0000 0000',
  // A published test number with another check digit shows the refused case.
  'card: 4111 1111 1111 1112 is refused, amex 3782 822463 10006 too',
  '3782 8224 6310 006; ES10 0075 0080 11 0600658109; NO 06 15030383041; no 05 15030383041',
  'x[1::6], a[:, 1::6], f(a::b), std::vector',
]

describe('numbers behind their label or by their checksum', () => {
  test.each(FOUND)('%j', (text, ...values) => {
    expect(found(text)).toEqual(values)
  })

  test.each(LEFT_ALONE)('numbers without a label or checksum in %j are left alone', (text) => {
    expect(found(text)).toEqual([])
  })
})
