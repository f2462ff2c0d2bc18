/** How providers and services are reached: the section `network` of the configuration. */
import { readFileSync } from 'node:fs'
import { getCACertificates } from 'node:tls'
import type { Config } from '../../config/schema.ts'
import { CageError } from '../../core/errors.ts'
import type { Network } from '../../core/http-pools.ts'

/** Throws CageError `invalid_config` when the file of certificates cannot be read. */
export function readNetwork({ https_proxy, http_proxy, no_proxy, ca_file }: Config['network']): Network {
  return {
    ca: ca_file === undefined ? undefined : [...getCACertificates('default'), readCertificates(ca_file)],
    httpsProxy: https_proxy ?? '',
    httpProxy: http_proxy ?? '',
    noProxy: no_proxy,
  }
}

function readCertificates(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const fault = (cause as NodeJS.ErrnoException).code
    throw new CageError('invalid_config', `network.ca_file: ${path} cannot be read (${fault})`, {
      facts: { path },
      cause,
    })
  }
}
