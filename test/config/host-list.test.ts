import { describe, expect, test } from 'vitest'
import { HostList, parseEntry, sharedWildcards } from '../../src/config/host-list.ts'

const list = new HostList(['api.github.com', '*.Wikipedia.org', 'db.internal:5432', '[2001:db8::1]:443', '10.0.0.1'])

describe('a list of hosts', () => {
  test.each([
    ['api.github.com', 443],
    ['en.wikipedia.org', 443],
    ['a.b.wikipedia.org', 443],
    ['db.internal', 5432],
    ['2001:db8::1', 443],
    ['10.0.0.1', 443],
  ])('has %s at port %d', (host, port) => {
    expect(list.has({ host, port })).toBe(true)
  })

  test.each([
    ['api.github.com', 80],
    ['github.com', 443],
    ['x.api.github.com', 443],
    ['wikipedia.org', 443],
    ['evilwikipedia.org', 443],
    ['wikipedia.org.evil.example', 443],
    ['db.internal', 443],
    ['2001:db8::2', 443],
  ])('does not have %s at port %d', (host, port) => {
    expect(list.has({ host, port })).toBe(false)
  })

  test.each(['*', 'a*.example.com', '*.*.example.com', '*.1.2', 'https://a.example', 'a.example/x', '*.10.0.0.1'])(
    'does not take %s',
    (entry) => {
      expect(parseEntry(entry)).toBeUndefined()
    },
  )

  test('names the wildcards of public suffixes, and of hosts that give names to their users', async () => {
    const entries = ['*.co.uk', '*.github.io', '*.example.co.uk', 'a.github.io', '*.s3.amazonaws.com']
    expect(await sharedWildcards(entries)).toEqual([
      { entry: '*.co.uk', isPublic: true },
      { entry: '*.github.io', isPublic: false },
      { entry: '*.s3.amazonaws.com', isPublic: false },
    ])
  })
})
