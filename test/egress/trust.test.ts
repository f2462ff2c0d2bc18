/** The files by which programs trust a server, beside those that real clients read in `clients.test.ts`. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { CertificateAuthority } from '../../src/egress/certificates.ts'
import { openTrust } from '../../src/egress/trust.ts'
import { TestClock } from '../support/clock.ts'

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'iron-cage-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

async function open(environment: Record<string, string>, more: string[] = []) {
  const trust = await openTrust(new CertificateAuthority(new TestClock(Date.now())), environment, more)
  onTestFinished(() => trust.close())
  return trust.variables
}

test.each(['in the home', 'named by WGETRC'])('the settings of wget that a user has %s stay', async (where) => {
  const home = folder()
  const own = join(home, where === 'in the home' ? '.wgetrc' : 'settings')
  writeFileSync(own, 'tries = 3')
  const { WGETRC, SSL_CERT_FILE } = await open({ HOME: home, ...(where !== 'in the home' && { WGETRC: own }) })
  expect(readFileSync(WGETRC!, 'utf8')).toBe(`tries = 3\nca_certificate = ${SSL_CERT_FILE}\n`)
})

test('without a home wget has no other settings', async () => {
  const { WGETRC, SSL_CERT_FILE } = await open({})
  expect(readFileSync(WGETRC!, 'utf8')).toBe(`ca_certificate = ${SSL_CERT_FILE}\n`)
})

test('Java has options where it is on PATH, and only there', async () => {
  const home = folder()
  expect(await open({ PATH: home })).not.toHaveProperty('JAVA_TOOL_OPTIONS')
  writeFileSync(join(home, 'java'), '')
  const { JAVA_TOOL_OPTIONS, IRON_CAGE_CA_JKS } = await open({ PATH: `/nowhere:${home}` })
  expect(JAVA_TOOL_OPTIONS).toBe(`-Djavax.net.ssl.trustStore="${IRON_CAGE_CA_JKS}"`)
})

test.runIf(existsSync('/usr/bin/keytool'))('keytool finds each root in the store for Java, unchanged', async () => {
  const home = folder()
  writeFileSync(join(home, 'java'), '')
  const other = new CertificateAuthority(new TestClock(Date.now()))
  const { IRON_CAGE_CA_JKS, SSL_CERT_FILE } = await open({ PATH: home }, [other.certificate])
  const words = ['-list', '-keystore', IRON_CAGE_CA_JKS!, '-storepass', 'changeit']
  const list = execFileSync('/usr/bin/keytool', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  expect(list).toContain(other.fingerprint)
  const roots = readFileSync(SSL_CERT_FILE!, 'utf8').match(/BEGIN CERTIFICATE/g)!
  expect(list.match(/trustedCertEntry/g)).toHaveLength(roots.length)
})
