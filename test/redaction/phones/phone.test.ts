import { describe, expect, test } from 'vitest'
import { found } from '../../support/found.ts'

const EXAMPLES: [text: string, ...values: string[]][] = [
  ['call (555) 123-4567', 'phone:(555) 123-4567'],
  ['Bob, 555-123-4567', 'phone:555-123-4567'],
  ['123-456-7890', 'phone:123-456-7890'],
  ['Use 555.123.4567 during office hours', 'phone:555.123.4567'],
  ['1-555-123-1234 and 012-345-6789', 'phone:1-555-123-1234', 'phone:012-345-6789'],
  ['Call 123-456 7890', 'phone:123-456 7890'],
  ['my phone number is 1234567890', 'phone:1234567890'],
  ['phone 5551234567, toll-free: 8005551234', 'phone:5551234567', 'phone:8005551234'],
  ['{"phone": "1234567890", "home_phone": "5551234567"}', 'phone:1234567890', 'phone:5551234567'],
]

const IN_BRACKETS: [text: string, ...values: string[]][] = [
  ['Jane (415-733-2671) will call', 'phone:415-733-2671'],
  ['the office (415.733.2671, ask for Ji)', 'phone:415.733.2671'],
  ['Jane (415 733 2671, NY)', 'phone:415 733 2671'],
  ['(1-415-733-2671) [Jane](415-733-2671)', 'phone:1-415-733-2671', 'phone:415-733-2671'],
  ['print(415-733-2671)', 'phone:415-733-2671'],
  ['q=%20(415) 555-0132%20', 'phone:(415) 555-0132'],
]

const NATIONAL: [text: string, ...values: string[]][] = [
  ['Tel: 020 7946 0958', 'phone:020 7946 0958'],
  ['Telefon: 030 12345678', 'phone:030 12345678'],
  ['Appelez-moi au 06 12 34 56 78', 'phone:06 12 34 56 78'],
  ['phone: 0171/1234567', 'phone:0171/1234567'],
  ['Tel.: (030) 901820 12', 'phone:(030) 901820 12'],
  ['my mobile is 07700 900123', 'phone:07700 900123'],
  ['WhatsApp 0412 345 678', 'phone:0412 345 678'],
  ['"phone_number": "98765 43210"', 'phone:98765 43210'],
  ['Telefone: (11) 98456-5666', 'phone:(11) 98456-5666'],
  ['電話: 03-1234-5678 手机号：13812345678', 'phone:03-1234-5678', 'phone:13812345678'],
  ['call 03 331 6005 ext 3456', 'phone:03 331 6005 ext 3456'],
  ['Fon 089/1234567, Handynummer: 0151 23456789', 'phone:089/1234567', 'phone:0151 23456789'],
  ['Telefoon: 020-1234567, teléfono 612 345 678', 'phone:020-1234567', 'phone:612 345 678'],
  ['Cel: 11 98765-4321, Contact no. 98765 43210', 'phone:11 98765-4321', 'phone:98765 43210'],
  ['Тел.: 8 912 345 67 89', 'phone:8 912 345 67 89'],
  ['My phone number is 004917612345678', 'phone:004917612345678'],
  ['电话是+8613812345678，电话是+81 3-1234-5678', 'phone:+8613812345678', 'phone:+81 3-1234-5678'],
  ['العربية +٤٤٣٣٣٣٣٣٣٣٣٣', 'phone:+٤٤٣٣٣٣٣٣٣٣٣٣'],
]

const DIALED: [text: string, ...values: string[]][] = [
  ['on 020 7946 0958, or 0161 496 0018', 'phone:020 7946 0958', 'phone:0161 496 0018'],
  ['Mr Sato 090-1234-5678, office 03-1234-5678', 'phone:090-1234-5678', 'phone:03-1234-5678'],
  ['Sydney (02) 5550 1234; mobiles 0491 570 156', 'phone:(02) 5550 1234', 'phone:0491 570 156'],
  ['Buenos Aires: 011 4123 4567', 'phone:011 4123 4567'],
  ['Zürich 044 668 18 00, İstanbul 0212 555 01 42', 'phone:044 668 18 00', 'phone:0212 555 01 42'],
  ['Paris 01.99.00.12.34.', 'phone:01.99.00.12.34'],
  // International prefixes other than 00.
  ['001-44-20-7946-0018', 'phone:001-44-20-7946-0018'],
  ['0011 44 20 7946 0018', 'phone:0011 44 20 7946 0018'],
  ['8~10 44 20 7946 0018, 0~0 49 30 901820', 'phone:8~10 44 20 7946 0018', 'phone:0~0 49 30 901820'],
  // Short numbers of islands, long ones of Germany.
  ['+676 20 123; +4980012345678901', 'phone:+676 20 123'],
  ['+49 800 1234567890', 'phone:+49 800 1234567890'],
  ['2125550187 ext. 44', 'phone:2125550187 ext. 44'],
]

const NO_PHONES = [
  // A phone word inside another word, or about programs.
  'the value is typically 2147483647 on 32-bit systems; automatically retried until 2147483647',
  'check_call(["truncate", "-s", "5368709120"]); cancelled job 2345678901; reached 2147483647 rows',
  'function call limit: 4294967295, an API call took 2147483647 ns, historically 2025550123 units',
  '{"phone_count": 2147483647, "tool_call_id": 4155550123, "call_id": 7188675309, "contact_id": 4155550123}',
  'recall 0.98, n=2345678901; smartphones sold 2025550123; microphone 2025550123 Hz',
  // Bare digits without a word: orders, timestamps.
  'order 5551234567, 1705314600, seq 1234567890, 555 123 4567',
  'rows 100 200 3000, 123 456 7890, 2024-01-15 10:20, 1.555.123.1234',
  'seven digits: phone 555-1234, line 12345678, id 02079460958, 0207 9460958',
  'rows 020 7946 0958 1234, 1 020 7946 0958, 012 013 014, 01 02 03 04 05, 00 1234 5678, 020 7946-0958',
  'version 01.02.03.04.05.06, date 01-02-2024, 0.12.34.56.78, 0~0 12, 8~1 44 20 7946 0018, part 020-7946-0958-B',
  'called at 1705314600123, part 1123-456-7890, 123-456-78901',
]

describe('phone numbers', () => {
  test.each(EXAMPLES)(
    'phone numbers with any exchange are found if their form or a word is clear: %j',
    (text, ...values) => {
      expect(found(text)).toEqual(values)
    },
  )

  test.each(IN_BRACKETS)('phone numbers are found inside brackets: %j', (text, ...values) => {
    expect(found(text)).toEqual(values)
  })

  test.each(NATIONAL)('phone numbers are found as people dial them at home, behind a label: %j', (text, ...values) => {
    expect(found(text)).toEqual(values)
  })

  test.each(DIALED)(
    'phone numbers are found in the groups people write them in, without a label: %j',
    (text, ...values) => {
      expect(found(text)).toEqual(values)
    },
  )

  test.each(NO_PHONES)('other numbers are no phone numbers: %j', (text) => {
    expect(found(text)).toEqual([])
  })
})
