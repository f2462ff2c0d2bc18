/** Certificates as others judge them: OpenSSL in its strict mode, and a client of TLS. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { CertificateAuthority } from '../../src/egress/certificates.ts'
import { TestClock } from '../support/clock.ts'

const clock = () => new TestClock(Date.now())

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'iron-cage-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** The chain that a server with this context shows to a client that trusts the authority. */
async function shown(authority: CertificateAuthority, host: string): Promise<TLSSocket> {
  const server = createServer({ SNICallback: (_, done) => done(null, authority.contextFor(host)) })
  // An address is no server name.
  server.setSecureContext({})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = connect({ port, host: '127.0.0.1', servername: host, ca: authority.certificate })
  onTestFinished(() => {
    socket.destroy()
    server.close()
  })
  await once(socket, 'secureConnect')
  return socket
}

test.each(['api.linkedin.com', `${'a'.repeat(63)}.${'b'.repeat(63)}.example`])(
  'OpenSSL verifies the certificate of %s strictly, and for no other name',
  async (host) => {
    const authority = new CertificateAuthority(clock())
    const path = folder()
    const chain = (await shown(authority, host)).getPeerCertificate(true)
    const pem = `-----BEGIN CERTIFICATE-----\n${chain.raw.toString('base64').replace(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`
    writeFileSync(join(path, 'ca.pem'), authority.certificate)
    writeFileSync(join(path, 'leaf.pem'), pem)
    const verify = (name: string) =>
      execFileSync('openssl', ['verify', '-x509_strict', '-verify_hostname', name, '-CAfile', 'ca.pem', 'leaf.pem'], {
        cwd: path,
        encoding: 'utf8',
      })
    expect(verify(host)).toContain('leaf.pem: OK')
    expect(() => verify('other.example')).toThrow()
  },
)

test('the chain ends with the authority, which signs for hosts alone', async () => {
  const authority = new CertificateAuthority(clock())
  const socket = await shown(authority, 'api.linkedin.com')
  const { issuerCertificate } = socket.getPeerCertificate(true)
  expect(socket.authorized).toBe(true)
  expect(issuerCertificate.fingerprint256).toBe(authority.fingerprint)
  const text = execFileSync('openssl', ['x509', '-noout', '-text'], { input: authority.certificate, encoding: 'utf8' })
  expect(text).toContain('CA:TRUE, pathlen:0')
})

test('a host keeps its certificate for six days and has another one then', () => {
  const time = clock()
  const authority = new CertificateAuthority(time)
  const first = authority.contextFor('api.linkedin.com')
  expect(authority.contextFor('api.linkedin.com')).toBe(first)
  time.advance(6 * 86_400_000 + 1)
  expect(authority.contextFor('api.linkedin.com')).not.toBe(first)
})

test('each server has another authority', () => {
  expect(new CertificateAuthority(clock()).fingerprint).not.toBe(new CertificateAuthority(clock()).fingerprint)
})
