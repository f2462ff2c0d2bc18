import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { authorityOf, parseAuthority, showAuthority } from '../../src/config/authority.ts'

describe('a host and a port', () => {
  test.each([
    ['api.github.com:443', 'api.github.com', 443],
    ['API.GitHub.com:443', 'api.github.com', 443],
    ['xn--bcher-kva.example:80', 'xn--bcher-kva.example', 80],
    ['a-1.b:65535', 'a-1.b', 65_535],
    ['localhost:1', 'localhost', 1],
    ['10.0.0.1:5432', '10.0.0.1', 5432],
    ['[2001:DB8:0::1]:443', '2001:db8::1', 443],
    ['[::ffff:127.0.0.1]:443', '::ffff:7f00:1', 443],
  ])('are read from %s', (text, host, port) => {
    expect(parseAuthority(text)).toEqual({ host, port })
  })

  test.each([
    ...[
      '127.1:443',
      '2130706433:443',
      '0x7f.1:443',
      '0x7f000001:443',
      '017700000001:443',
      '1.2.3:443',
      '1.2.3.4.5:443',
    ],
    ...[
      'evil%00.example:443',
      'example.com.:443',
      'user@example.com:443',
      'user:x@example.com:443',
      ' example.com:443',
    ],
    ...['example.com :443', 'exa mple.com:443', 'bücher.example:443', 'exämple:443', 'under_score.example:443'],
    ...['-a.example:443', 'a-.example:443', 'a..b:443', '.a:443', `${'a'.repeat(64)}.example:443`],
    ...['example.com', 'example.com:', 'example.com:0', 'example.com:65536', 'example.com:44e3', 'example.com:+443'],
    ...['[127.0.0.1]:443', '[::1', '::1:443', '[fe80::1%eth0]:443', 'http://example.com:443', 'example.com:443/x', ''],
    `${'a.'.repeat(127)}example:443`,
  ])('are not read from "%s"', (text) => {
    expect(parseAuthority(text)).toBeUndefined()
  })

  test('are the same when shown and read again', () => {
    const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6())
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65_535 }), (name, port) => {
        const given = parseAuthority(name.includes(':') ? `[${name}]:${port}` : `${name}:${port}`)
        if (given) expect(parseAuthority(showAuthority(given))).toEqual(given)
      }),
    )
  })

  test('are those that the parser of URLs reads, or none', () => {
    const text = fc.stringMatching(/^[a-z0-9.x-]{1,20}$/)
    fc.assert(
      fc.property(text, (host) => {
        const given = parseAuthority(`${host}:8443`)
        if (given) expect(authorityOf(new URL(`https://${host}:8443/`))).toEqual(given)
      }),
    )
  })
})
