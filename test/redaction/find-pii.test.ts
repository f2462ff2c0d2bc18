import { describe, expect, test } from 'vitest'
import { findPii, toSpans } from '../../src/redaction/redactor.ts'

/** The findings in a text, as `type:value`. */
const found = (text: string) => findPii(text).map(({ type, start, end }) => `${type}:${text.slice(start, end)}`)

const FOUND: [text: string, ...values: string[]][] = [
  // E-mail: as written, in other texts, escaped, split, spelled out.
  ['write to nora@example.com.', 'email:nora@example.com'],
  ['NORA.LIND@EXAMPLE.ORG', 'email:NORA.LIND@EXAMPLE.ORG'],
  ["o'hara+news@mail.eu-west.example.co.uk", "email:o'hara+news@mail.eu-west.example.co.uk"],
  ['a@example.com;b@example.com/c@example.com', 'email:a@example.com', 'email:b@example.com', 'email:c@example.com'],
  ['[write](mailto:nora@example.com)', 'email:nora@example.com'],
  [
    '**nora@example.com** _kim@example.com_ _kim_@example.com',
    'email:nora@example.com',
    'email:kim@example.com',
    'email:_kim_@example.com',
  ],
  ['{\\"to\\":\\"nora@example.com\\"}', 'email:nora@example.com'],
  ['line\\nnora@example.com\\nline', 'email:nora@example.com'],
  ['?to=nora%2Bx%40example%2Ecom&x=1', 'email:nora%2Bx%40example%2Ecom'],
  ['q=mail%3Anora%40example.com%20', 'email:nora%40example.com'],
  ['nora\\u0040example.com', 'email:nora\\u0040example.com'],
  ['nora&#64;example&period;com', 'email:nora&#64;example&period;com'],
  ['no\u200bra@exam\u00adple.com', 'email:no\u200bra@exam\u00adple.com'],
  ['nora\uff20example\uff0ecom', 'email:nora\uff20example\uff0ecom'],
  ['联系nora@example.com谢谢', 'email:nora@example.com'],
  ['почта@пример.рф 用户@例子.广告', 'email:почта@пример.рф', 'email:用户@例子.广告'],
  ['root@[192.0.2.1]', 'email:root@[192.0.2.1]'],
  ['nora (at) example (dot) com', 'email:nora (at) example (dot) com'],
  ['nora[@]example[.]com', 'email:nora[@]example[.]com'],
  ['nora.lind AT example DOT org', 'email:nora.lind AT example DOT org'],
  ['nora dot lind at example dot com', 'email:nora dot lind at example dot com'],
  ['nora_at_example_dot_com', 'email:nora_at_example_dot_com'],
  ['nora @ example . com', 'email:nora @ example . com'],
  // As programs write it.
  ['nora\\@example.com and nora\\\\@example.com', 'email:nora\\@example.com', 'email:nora\\\\@example.com'],
  [
    'to=nora=40example.com nora=2Elind=40example=2Ecom',
    'email:nora=40example.com',
    'email:nora=2Elind=40example=2Ecom',
  ],
  ['=?utf-8?q?nora=2Elind=40example=2Ecom?=', 'email:nora=2Elind=40example=2Ecom'],
  ['To: =?UTF-8?B?bm9yYUBleGFtcGxlLmNvbQ==?= x', 'email:=?UTF-8?B?bm9yYUBleGFtcGxlLmNvbQ==?='],
  ['=?iso-8859-1?b?Y2FsbCAyMTItNTU1LTAxODc=?=', 'phone:=?iso-8859-1?b?Y2FsbCAyMTItNTU1LTAxODc=?='],
  [
    'q=nora%2540example.com nora%252540example%25252Ecom',
    'email:nora%2540example.com',
    'email:nora%252540example%25252Ecom',
  ],
  ['nora\\x40example\\x2ecom nora\\u{40}example.com', 'email:nora\\x40example\\x2ecom', 'email:nora\\u{40}example.com'],
  ['nora\\u{0040}example\\u{2e}com', 'email:nora\\u{0040}example\\u{2e}com'],
  ['{\\"to\\":\\"nora\\\\u0040example.com\\"}', 'email:nora\\\\u0040example.com'],
  ['\\\\\\"nora\\\\\\\\u0040example\\\\\\\\u002ecom\\\\\\"', 'email:nora\\\\\\\\u0040example\\\\\\\\u002ecom'],
  [
    'nora@<em>example</em>.com, nora@<b>exam</b>ple.com',
    'email:nora@<em>example</em>.com',
    'email:nora@<b>exam</b>ple.com',
  ],
  ['nora<wbr>@<wbr>example.com', 'email:nora<wbr>@<wbr>example.com'],
  ['<b>nora@example.com</b><br>next.com', 'email:nora@example.com'],
  ['to nora@example.com.\nnet income', 'email:nora@example.com'],
  ['nora@example-x.\ncom', 'email:nora@example-x.\ncom'],
  ['"nora@mail.corp-x.\\r\\n  com"', 'email:nora@mail.corp-x.\\r\\n  com'],
  ['nora\ufffd@example.com nora@\0example.com', 'email:nora\ufffd@example.com', 'email:nora@\0example.com'],
  ['4242_4242_4242_4242 212_555_0187', 'credit_card:4242_4242_4242_4242', 'phone:212_555_0187'],
  ['<td>4242</td><td>4242</td> <td>4242</td><td>4242</td>', 'credit_card:4242</td><td>4242</td> <td>4242</td><td>4242'],
  ['phone <b>212</b><i>555</i><i>0187</i>', 'phone:212</b><i>555</i><i>0187'],
  ['\x1b[31m4242\x1b[0m 4242 42\x1b[1;32m42 4242', 'credit_card:4242\x1b[0m 4242 42\x1b[1;32m42 4242'],
  ['212-\x1b[1m555\x1b[0m-0187', 'phone:212-\x1b[1m555\x1b[0m-0187'],
  [
    'export_212-555-0187_536-90-4399_4242-4242-4242-4242_aaa',
    'phone:212-555-0187',
    'ssn:536-90-4399',
    'credit_card:4242-4242-4242-4242',
  ],
  // Phone.
  ['(212) 555-0187 212-555-0187 212.555.0187', 'phone:(212) 555-0187', 'phone:212-555-0187', 'phone:212.555.0187'],
  ['1-212-555-0187, +1 (212) 555-0187', 'phone:1-212-555-0187', 'phone:+1 (212) 555-0187'],
  ['call 2125550187 now', 'phone:2125550187'],
  ['2125550187 fax', 'phone:2125550187'],
  ['Office 212-555-0187 x4417, 212.555.0187 extension 9', 'phone:212-555-0187 x4417', 'phone:212.555.0187 extension 9'],
  ['+44 (0)20 7946 0958', 'phone:+44 (0)20 7946 0958'],
  ['+4930901820 / +33.1.70.18.99.00', 'phone:+4930901820', 'phone:+33.1.70.18.99.00'],
  ['dial 011 44 20 7946 0018', 'phone:011 44 20 7946 0018'],
  ['0044 20 7946 0018', 'phone:0044 20 7946 0018'],
  ['1-800-FLOWERS', 'phone:1-800-FLOWERS'],
  ['p=%2B1%20212%20555%200187&', 'phone:%2B1%20212%20555%200187'],
  ['212\u200b-555-\u200b0187', 'phone:212\u200b-555-\u200b0187'],
  ['２１２‑５５５‑０１８７', 'phone:２１２‑５５５‑０１８７'],
  ['\\t212-555-0187\\t', 'phone:212-555-0187'],
  ['电话212-555-0187。', 'phone:212-555-0187'],
  // SSN.
  ['536-90-4399/457-55-5462', 'ssn:536-90-4399', 'ssn:457-55-5462'],
  ['SSN 536904399, ssn: 536 90 4399', 'ssn:536904399', 'ssn:536 90 4399'],
  ['my social is 536 - 90 - 4399', 'ssn:536 - 90 - 4399'],
  ['SSN is 5 3 6 - 9 0 - 4 3 9 9', 'ssn:5 3 6 - 9 0 - 4 3 9 9'],
  ['536904399 is my SSN', 'ssn:536904399'],
  // Cards and IBANs.
  ['4242 4242 4242 4242 or 4242-4242-4242-4242', 'credit_card:4242 4242 4242 4242', 'credit_card:4242-4242-4242-4242'],
  ['amex 3782 822463 10005', 'credit_card:3782 822463 10005'],
  ['card4242424242424242', 'credit_card:4242424242424242'],
  ['DE89 3704 0044 0532 0130 00', 'iban:DE89 3704 0044 0532 0130 00'],
  ['pay gb29nwbk60161331926819.', 'iban:gb29nwbk60161331926819'],
  ['ＤＥ８９３７０４００４４０５３２０１３０００', 'iban:ＤＥ８９３７０４００４４０５３２０１３０００'],
  ['DE89_3704_0044_0532_0130_00', 'iban:DE89_3704_0044_0532_0130_00'],
  // IP.
  ['http://198.51.100.23:8080/x 192.0.2.0/24', 'ip:198.51.100.23', 'ip:192.0.2.0'],
  ['[2001:db8::1]:443 fe80::1%eth0 ::ffff:192.0.2.1', 'ip:2001:db8::1', 'ip:fe80::1%eth0', 'ip:::ffff:192.0.2.1'],
  // Secrets. Put together here, so that no scanner of repositories takes them for real ones.
  [`key ${'AKIA'}IOSFODNN7QWERTYU`, 'secret:AKIAIOSFODNN7QWERTYU'],
  [`${'ghp'}_wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx`, 'secret: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'],
  [`${'sk'}-proj-Ab3dEf6hIj9kLm2nOp5qRs8t`, 'secret:sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8t'],
  [
    'Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P',
    'secret:eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P',
  ],
  ['postgres://app:s3cr3tP4ss@db.example.com/app', 'secret:s3cr3tP4ss'],
  [
    '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n-----END PRIVATE KEY-----\n',
    'secret:-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n-----END PRIVATE KEY-----',
  ],
]

const LEFT_ALONE: string[] = [
  'user@localhost, foo@bar, a @ b, 5 apples @ $1.20, follow @nora, nora@@example.com, nora@example.',
  'npm i react@18.2.0 @types/node@20.1.0; image@2x.png; git@github.com:org/repo.git; @app.route("/x")',
  'we met at google dot com headquarters; ssh://git@host.example.com/x',
  'order 112-5550132-4155550, SKU 1219-09-99981, part no. 123-45-6789-B, lot 2019-09-9998, X219-09-9998Y',
  'part 2-212-555-0187, part%202%2D212-555-0187, part 2\\u002d212-555-0187',
  '2024-01-15T10:30:00Z 1705314600 1705314600123 20240115103000 12:34:56.789012',
  '550e8400-e29b-41d4-a716-446655440000 da39a3ee5e6b4b0d3255bfef95601890afd80709 #4155550132ff',
  'x=4155550132; 4155550132.50 dollars; $415 555 0132; 0.4155550132; 415-555-01324; 1415-555-0132-7; 555-1234',
  'rows 100 200 3000; the years 1999 2000 2001 2002; ISBN 978-0-306-40615-7; ZIP 94105-1234; seq 1234567890',
  '000-12-3456 666-12-3456 912-34-5678 536-00-4399 536-90-0000 536904399 1-219-09-9998-3',
  '4111 1111 1111 1112; 9876543210987654; 0000000000000000; IMEI 490154203237518; 4111111111111111.5',
  'DE88 3704 0044 0532 0130 00; GB00NWBK60161331926819; AB12CDEF34567890',
  'v1.2.3.4, version 1.2.3.4, 1.2.3.4.5, 256.100.50.25, Chrome/120.0.0.0, 3.14.15.926, std::vector, a::b',
  'AKIA is a prefix, sk-is one too, ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, sk-estimator-html-representation-fallback',
  'token = os.environ["API_TOKEN"]; https://user:password@example.com; data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB',
  '-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkq\n-----END PUBLIC KEY-----',
  'nora@localhost.\nInfo follows. a=40; x=40.5; 100%25 of users; user_2125550187; 1_212_555_0187_9',
  '<td>212</td><td>555</td><td>0187</td><td>9</td>, 200_300_4000_5000, 1_000_000_000, =?utf-8?B?bm9yYQ==?=',
]

describe('findPii', () => {
  test.each(FOUND)('findPii finds all personal data in %j', (text, ...values) => {
    expect(found(text)).toEqual(values)
  })

  test.each(LEFT_ALONE)('findPii leaves alone %j', (text) => {
    expect(found(text)).toEqual([])
  })

  test('findPii finds only the types it is asked for', () => {
    expect(findPii('nora@example.com 192.0.2.1', ['ip']).map(({ type }) => type)).toEqual(['ip'])
  })

  test('findPii gives the risk of each type', () => {
    const text = 'nora@example.com 212-555-0187 536-90-4399 4242424242424242 DE89370400440532013000 192.0.2.1'
    expect(findPii(text).map(({ type, risk }) => `${type} ${risk}`)).toEqual([
      'email HIGH',
      'phone MEDIUM',
      'ssn HIGH',
      'credit_card HIGH',
      'iban HIGH',
      'ip MEDIUM',
    ])
  })

  test('a secret without an end is one finding, however long', () => {
    const text = `eyJhbGciOiJIUzI1NiJ9.${'eyJzdWIiOiIx.'.repeat(20_000)} end`
    expect(toSpans(text)).toEqual({ spans: [{ type: 'SECRET', start: 0, end: text.length - 5 }] })
  })
})

describe('time is linear on every input', () => {
  const pieces = [
    'a@',
    'a.',
    '7',
    '1 ',
    '1.',
    '1-',
    '415-',
    '(1',
    '+1',
    '0044 ',
    '4111 ',
    'DE12 ',
    '12:',
    '1::',
    '((',
    '[',
    '-',
    '%40',
  ]
    .concat([
      'a%40',
      'a&#64;',
      'a\\u0040',
      'eyJ',
      'sk-',
      '-----BEGIN ',
      '://a:',
      '1\u200b',
      'a at b dot ',
      'a(at)',
      '\u200b',
    ])
    .concat([`${'a'.repeat(95)}@`, `@${'a.'.repeat(99)}`, '&', ';', '{"a":['])
    .concat([
      '_at_',
      'GB29 ',
      '+49 151 ',
      '1 2 3 ',
      '[[[',
      'a@b.',
      'https://a:',
      '-----BEGIN A KEY-----',
      '%2B422',
      '401. \n',
      '71.0@\\2',
      '1000 ',
      '=?u?b?YWFhYWFh?= ',
      '<b>',
      'a@<b>',
      '1</b>',
      '\\\\',
      '%25',
      'a=40',
      '\x1b[1m1',
      'a@b.\n',
      '1_',
    ])

  // A megabyte takes a tenth of a second; quadratic work on it takes minutes, and the test runs out of time.
  test.each(pieces)('a megabyte of %j', (piece) => {
    const text = piece.repeat(1e6 / piece.length)
    findPii(text)
  })
})
