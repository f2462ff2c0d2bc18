import { expect, test } from 'vitest'
import { isTopLevelDomain, leadingTopLevelDomain } from '../../../src/redaction/emails/top-level-domain.ts'
import list from '../../../src/redaction/emails/top-level-domains.json' with { type: 'json' }
import { findPii } from '../../../src/redaction/redactor.ts'

const emailsIn = (text: string): string[] => findPii(text, ['email']).map(({ start, end }) => text.slice(start, end))

test('the list of top-level domains includes its source and date', () => {
  expect(list.source).toContain('https://data.iana.org/TLD/tlds-alpha-by-domain.txt')
  expect(list.date).toMatch(/^20\d\d-\d\d-\d\d$/)
  expect(list.domains.split(' ').length).toBeGreaterThan(1_400)
})

test.each([
  'com',
  'COM',
  'museum',
  'xn--p1ai',
  'рф',
  '中国',
  'भारत',
  'ｃｏｍ',
  'example',
  'test',
  'invalid',
  'localhost',
])('%s is a top-level domain', (label) => expect(isTopLevelDomain(label)).toBe(true))

test.each(['mean', 'service', 'internal', 'local', 'py2', 'png', 'json', 'xn--zzzzz', 'comx'])(
  '%s is no top-level domain',
  (label) => expect(isTopLevelDomain(label)).toBe(false),
)

test.each([
  ['jane@example.com', 'jane@example.com'],
  ['jane@EXAMPLE.Co.Uk,', 'jane@EXAMPLE.Co.Uk'],
  ['почта@пример.рф', 'почта@пример.рф'],
  ['jane@xn--e1afmkfd.xn--p1ai', 'jane@xn--e1afmkfd.xn--p1ai'],
  ['jane@example.com.Please', 'jane@example.com'],
  ['jane@example.comPhone', 'jane@example.com'],
  ['jane@example.comthanks', 'jane@example.com'],
  ['jane@example.comПривет', 'jane@example.com'],
  ['jane@example.com-2', 'jane@example.com'],
  ['jane@example.c\\u006fm', 'jane@example.c\\u006fm'],
])('an address ends with its top-level domain: %s', (text, address) => expect(emailsIn(text)).toEqual([address]))

test.each([
  'grad = A@B.mean(dim=0)',
  'systemctl status getty@tty1.service',
  'ssh ec2-user@bastion.internal',
  'std::vector@2.cpp',
  'refs/heads/x@origin.main',
  'logo@2x.png',
  'jane [at] node [dot] service',
])('a text without a top-level domain at its end is no address: %s', (text) => expect(emailsIn(text)).toEqual([]))

test('a word glued to a top-level domain is separated by its capital, its script, or the oldest domains', () => {
  expect(['comPhone', 'deTel', 'comthanks', 'mean', 'DEтел'].map(leadingTopLevelDomain)).toEqual([3, 2, 3, 0, 2])
})
