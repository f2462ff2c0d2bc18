/** Where an agent's connections lead: names that lie, addresses in every spelling, and the user's own proxy. */
import { networkInterfaces } from 'node:os'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { parseAuthority } from '../../src/config/authority.ts'
import { type Dialing, dial, type Reach } from '../../src/egress/dial.ts'
import { TestClock } from '../support/clock.ts'
import { openPlain, openServer } from './support.ts'

const lookup = vi.fn<Dialing['resolve']>()
afterEach(() => void lookup.mockReset())

/** Each resolution takes the next answer; the last one stays. */
function resolves(...answers: string[][]): void {
  lookup.mockImplementation(async () => (answers.length > 1 ? answers.shift()! : answers[0]!))
}

const NETWORK = { ca: undefined, httpsProxy: '', httpProxy: '', noProxy: '' }

const reach = (target: string, how: Reach, more: Partial<Dialing['network']> = {}, ownPort = 1) =>
  dial(parseAuthority(target)!, how, {
    network: { ...NETWORK, ...more },
    clock: new TestClock(),
    resolve: lookup,
    ownPort: () => ownPort,
  })

describe('a name', () => {
  test('is resolved once, and what was judged is dialed though the name server would answer otherwise', async () => {
    const port = await openPlain()
    resolves(['127.0.0.1'], ['127.0.0.2'])
    const socket = await reach(`db.internal:${port}`, 'private')
    expect(socket.remoteAddress).toBe('127.0.0.1')
    expect(lookup).toHaveBeenCalledTimes(1)
    socket.destroy()
  })

  test('is refused if any of its addresses is', async () => {
    resolves(['93.184.216.34', '127.0.0.1'])
    await expect(reach('rebind.example:443', 'public')).rejects.toMatchObject({
      code: 'egress_address_refused',
      facts: { address: '127.0.0.1' },
    })
  })

  test('with an address where nothing listens is reached at its next one', async () => {
    const port = await openServer((socket) => void socket.end('here'))
    resolves(['127.0.0.2', '127.0.0.1'])
    expect(await text(await reach(`db.internal:${port}`, 'private'))).toBe('here')
  })

  test('that nobody knows, or where nothing listens, is unreachable', async () => {
    vi.mocked(lookup).mockRejectedValue(Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }))
    const facts = (fault: string) => ({ code: 'provider_unreachable', facts: { fault } })
    await expect(reach('nobody.example:443', 'public')).rejects.toMatchObject(facts('ENOTFOUND'))
    resolves(['127.0.0.1'])
    await expect(reach('db.internal:9', 'private')).rejects.toMatchObject(facts('ECONNREFUSED'))
    resolves(['127.0.0.1', '127.0.0.2'])
    await expect(reach('db.internal:9', 'private')).rejects.toMatchObject({ code: 'provider_unreachable' })
  })
})

describe('an address of no public network', () => {
  test.each([
    ...['127.0.0.1', '127.8.9.1', '0.0.0.0', '10.1.2.3', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1'],
    ...['::1', '::', '::127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:a9fe:a9fe', '64:ff9b::7f00:1'],
    ...['64:ff9b::a9fe:a9fe', 'fe80::1', 'fd00:ec2::254', 'fc00::1', '2002:7f00:1::', '2001:db8::1', 'ff02::1'],
  ])('is refused: %s, by itself and behind a name', async (address) => {
    const literal = address.includes(':') ? `[${address}]:443` : `${address}:443`
    const refused = { code: 'egress_address_refused' }
    await expect(reach(literal, 'public')).rejects.toMatchObject(refused)
    resolves([address])
    await expect(reach('innocent.example:443', 'public')).rejects.toMatchObject(refused)
  })

  test.each(['169.254.169.254', '100.100.100.200', 'fd00:ec2::254', '::ffff:6464:64c8', '::ffff:a9fe:a9fe', 'fe80::1'])(
    'is refused even to an entry of private hosts where clouds serve credentials: %s',
    async (address) => {
      resolves([address])
      await expect(reach('db.internal:80', 'private')).rejects.toMatchObject({ code: 'egress_address_refused' })
    },
  )
})

test('no spelling of this machine leads to the port of this server', async () => {
  const port = await openPlain()
  const own = Object.values(networkInterfaces()).flatMap((all) => all?.map(({ address }) => address) ?? [])
  const mapped = own.filter((address) => address.includes('.')).map((address) => `::ffff:${address}`)
  const spellings = ['127.0.0.1', '127.3.2.1', '0.0.0.0', '::', '::1', '::ffff:0.0.0.0', ...own, ...mapped]
  for (const address of spellings) {
    resolves([address])
    for (const how of ['public', 'private', 'any'] as const) {
      const target = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
      const refused = { code: 'egress_address_refused' }
      await expect(reach(target, how, {}, port), `${target} ${how}`).rejects.toMatchObject(refused)
      await expect(reach(`name.example:${port}`, how, {}, port)).rejects.toMatchObject(refused)
    }
  }
})

describe("the user's own proxy", () => {
  /** A small proxy: answers each CONNECT with this head, then greets as the server behind it. */
  async function openProxy(answer: string) {
    const heads: string[] = []
    const port = await openServer((socket) => {
      socket.once('data', (head: Buffer) => {
        heads.push(head.toString())
        socket.write(answer)
        socket.on('data', (more: Buffer) => socket.write(more)).on('end', () => socket.end())
      })
    })
    return { heads, url: (user = '') => `http://${user}127.0.0.1:${port}` }
  }

  test('carries tunnels, and resolves their names', async () => {
    const { heads, url } = await openProxy('HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello ')
    const socket = await reach('api.github.com:443', 'public', { httpsProxy: url() })
    socket.end('there')
    expect(await text(socket)).toBe('hello there')
    expect(heads).toEqual(['CONNECT api.github.com:443 HTTP/1.1\r\nHost: api.github.com:443\r\n\r\n'])
    expect(lookup).not.toHaveBeenCalled()
  })

  test('is told who the user is', async () => {
    const { heads, url } = await openProxy('HTTP/1.1 200 OK\r\n\r\n')
    const socket = await reach('api.github.com:443', 'public', { httpsProxy: url('ann:p%40ss@') })
    socket.destroy()
    const credentials = Buffer.from('ann:p@ss').toString('base64')
    expect(heads[0]).toContain(`\r\nProxy-Authorization: Basic ${credentials}\r\n`)
  })

  test.each(['HTTP/1.1 407 Proxy Authentication Required\r\n\r\n', 'HTTP/1.1 403 Forbidden\r\n\r\n', 'what?\r\n\r\n'])(
    'that answers "%s" makes the host unreachable',
    async (answer) => {
      const { url } = await openProxy(answer)
      const dialed = reach('api.github.com:443', 'public', { httpsProxy: url() })
      await expect(dialed).rejects.toMatchObject({ code: 'provider_unreachable' })
    },
  )

  test.each(['before it answers', 'within its answer'])('that hangs up %s makes the host unreachable', async (when) => {
    const port = await openServer((socket) =>
      socket.once('data', () => socket.end(when === 'before it answers' ? '' : 'HTTP/1.1 200 O')),
    )
    const dialed = reach('api.github.com:443', 'public', { httpsProxy: `http://127.0.0.1:${port}` })
    await expect(dialed).rejects.toMatchObject({ code: 'provider_unreachable' })
  })

  test('is not used for hosts that the user reaches without it', async () => {
    const port = await openServer((socket) => void socket.end('direct'))
    resolves(['127.0.0.1'])
    const more = { httpsProxy: 'http://127.0.0.1:9', noProxy: 'internal, other.example' }
    expect(await text(await reach(`db.internal:${port}`, 'private', more))).toBe('direct')
  })

  test('makes no address public', async () => {
    const { url, heads } = await openProxy('HTTP/1.1 200 OK\r\n\r\n')
    const dialed = reach('169.254.169.254:443', 'public', { httpsProxy: url() })
    await expect(dialed).rejects.toMatchObject({ code: 'egress_address_refused' })
    expect(heads).toEqual([])
  })
})

test('a server that resets a connection which nobody reads yet ends nothing else', async () => {
  const port = await openServer((socket) => void setImmediate(() => socket.resetAndDestroy()))
  const socket = await reach(`127.0.0.1:${port}`, 'private')
  await new Promise((resolve) => socket.on('close', resolve))
  expect(socket.errored).toMatchObject({ code: 'ECONNRESET' })
})
