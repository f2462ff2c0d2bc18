/** Signatures of AWS (Signature Version 4), made of the access key that the vault or the server's environment has. */
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto'
import { SignatureV4 } from '@smithy/signature-v4'
import { CageError } from '../../core/errors.ts'
import type { SignedProvider, Signer } from './signer.ts'

const SERVICE = 'bedrock'

export function sigv4Signer({ name, baseUrl, clock }: SignedProvider): Signer {
  const region = regionOf(baseUrl.hostname)
  return {
    async authorize({ method, path, body }, accessKeyId, secretOf) {
      const secretAccessKey = secretOf('AWS_SECRET_ACCESS_KEY')
      if (!secretAccessKey) throw missing(name)
      const sessionToken = secretOf('AWS_SESSION_TOKEN')
      const credentials = { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) }
      const signer = new SignatureV4({ credentials, region, service: SERVICE, sha256: Sha256 })
      const request = {
        ...{ method, body, protocol: baseUrl.protocol, hostname: baseUrl.hostname },
        path: baseUrl.pathname.replace(/\/$/, '') + path,
        headers: { host: baseUrl.host, 'x-amz-content-sha256': await digestOf(body) },
      }
      const { headers } = await signer.sign(request, { signingDate: new Date(clock.now()) })
      // The connection has one of its own.
      const { host: _host, ...signed } = headers
      return signed
    },
  }
}

/** bedrock-runtime.eu-central-1.amazonaws.com, also of a private endpoint. */
const regionOf = (host: string): string =>
  /(?:^|\.)bedrock-runtime(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\./.exec(host)?.[1] ?? DEFAULT_REGION

/** Of an address without one, such as a proxy's. */
const DEFAULT_REGION = 'us-east-1'

const missing = (provider: string): CageError =>
  new CageError('provider_key_missing', `there is no AWS_SECRET_ACCESS_KEY for ${provider}`, { facts: { provider } })

/** Computed outside the event loop: bodies have megabytes. */
async function digestOf(body: string | Buffer | undefined): Promise<string> {
  const bytes = typeof body === 'string' || body === undefined ? Buffer.from(body ?? '') : body
  return Buffer.from(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)).toString('hex')
}

/** The library's hash function: keys and short texts. */
export class Sha256 {
  readonly #hash: Hash | Hmac

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as Buffer)
  }

  update(data: Uint8Array): void {
    this.#hash.update(data)
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest())
  }

  reset(): void {}
}
