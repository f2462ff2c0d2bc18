/** Writes certificates as Java reads them: in its key store format JKS, which every version knows. */
import { createHash } from 'node:crypto'

const MAGIC = 0xfeedfeed
const VERSION = 2
const TRUSTED_CERTIFICATE = 2
const PEM = /-----BEGIN CERTIFICATE-----([^-]+)-----END/g
/** The password of the store that comes with Java. */
const PASSWORD = 'changeit'
/** Part of the digest. */
const WHITENER = 'Mighty Aphrodite'

/** Returns a store that trusts each certificate of a PEM text. */
export function javaStoreOf(pem: string): Buffer {
  const certificates = [...pem.matchAll(PEM)].map(([, content]) => Buffer.from(content!, 'base64'))
  const entries = certificates.map((certificate, at) =>
    Buffer.concat([
      ...[int32(TRUSTED_CERTIFICATE), text(`root-${at}`), Buffer.alloc(8)],
      ...[text('X.509'), int32(certificate.length), certificate],
    ]),
  )
  const content = Buffer.concat([int32(MAGIC), int32(VERSION), int32(entries.length), ...entries])
  const password = Buffer.from(PASSWORD, 'utf16le').swap16()
  return Buffer.concat([content, createHash('sha1').update(password).update(WHITENER).update(content).digest()])
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** As `DataOutputStream.writeUTF` writes ASCII. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes])
}
