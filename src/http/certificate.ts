/** The certificate of our own port, read from its files again when they change: certificates are renewed every few weeks. */
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { Config } from '../config/schema.ts'
import { watchFile } from '../config/watch.ts'
import type { Clock } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'

export interface Certificate {
  cert: Buffer
  key: Buffer
}

export type CertificateFiles = NonNullable<Config['server']['tls']>

/** Throws CageError `invalid_config` for files that cannot be read or do not belong together. */
export function readCertificate({ cert, key }: CertificateFiles): Certificate {
  try {
    const read = { cert: readFileSync(cert), key: readFileSync(key) }
    createSecureContext(read)
    return read
  } catch (error) {
    const why = (error as Error).message
    throw new CageError('invalid_config', `server.tls: the certificate cannot be used: ${why}`, {
      facts: { cert, key },
      hint: 'name a PEM file with the certificate and its chain, and one with its key',
      cause: error,
    })
  }
}

/** Calls `onChange` with the certificate when it was renewed, `onFault` when that cannot be used. Returns an unsubscribe function. */
export function watchCertificate(
  files: CertificateFiles,
  clock: Clock,
  onChange: (certificate: Certificate) => void,
  onFault: (error: unknown, what: string) => void,
): () => void {
  return watchFile(files.cert, clock, () => {
    try {
      onChange(readCertificate(files))
    } catch (error) {
      onFault(error, 'the renewed certificate cannot be used; the old one stays')
    }
  })
}
