/** The refusals of the matrix's providers: keys, signatures and fields, as the real ones do. */
import { createHash, generateKeyPairSync } from 'node:crypto'
import { SignatureV4 } from '@smithy/signature-v4'
import { importSPKI, jwtVerify } from 'jose'
import { Sha256 } from '../../src/gateway/signing/sigv4.ts'
import { type Received, type Script, sends } from '../../test/support/provider.ts'
import { AWS, keyOf, type Vendor } from './clients.ts'

export const JSON_TYPE = { 'content-type': 'application/json' }

/** An error in the fields of every vendor. */
export const failure = (code: string) => ({
  type: 'error',
  error: { type: code, code, status: code, message: `the provider says ${code}` },
  message: `the provider says ${code}`,
})

/** Returns the refusal of a request; undefined for one that is answered. */
export async function refusalOf(vendor: Vendor, received: Received): Promise<Script | undefined> {
  const { body, method, url } = received
  if (vendor === 'vertex' && url === '/token') return givesToken
  if (!(await isAuthorized(vendor, received))) return sends(401, JSON_TYPE, failure('invalid_api_key'))
  if (method !== 'POST') return undefined
  const asked = JSON.parse(body || '{}') as Record<string, unknown>
  const why =
    vendor === 'bedrock' && url.includes('/converse') ? unknownIn(asked, CONVERSE) : faultIn(vendor, asked, url)
  return why ? sends(vendor === 'mistral' ? 422 : 400, JSON_TYPE, failure(why)) : undefined
}

function faultIn(vendor: Vendor, asked: Record<string, unknown>, url: string): string | undefined {
  const limit = Number(asked.max_tokens ?? asked.max_completion_tokens ?? 0)
  const isAnthropics = vendor === 'anthropic' || vendor === 'vertex' || vendor === 'bedrock'
  if (isAnthropics && url.includes('count') === false && !asked.max_tokens) return 'max_tokens: Field required'
  if (vendor === 'mistral' && 'stream_options' in asked) return 'stream_options: Extra inputs are not permitted'
  if ((vendor === 'vertex' || vendor === 'bedrock') && 'model' in asked) return 'model: Extra inputs are not permitted'
  if (vendor === 'cohere') return unknownIn(asked, COHERE)
  if (vendor === 'ollama') return unknownIn(asked, OLLAMA)
  return limit > (isAnthropics ? 64_000 : 16_384) ? 'max_tokens is too large' : undefined
}

const CONVERSE = 'messages system inferenceConfig toolConfig additionalModelRequestFields'
const COHERE = 'model messages tools stream max_tokens thinking'
const OLLAMA = 'model messages tools stream format options keep_alive think logprobs top_logprobs'

function unknownIn(asked: Record<string, unknown>, known: string): string | undefined {
  const unknown = Object.keys(asked).find((name) => !known.split(' ').includes(name))
  return unknown && `unknown field ${unknown}`
}

async function isAuthorized(vendor: Vendor, received: Received): Promise<boolean> {
  const { headers } = received
  if (vendor === 'ollama') return true
  if (vendor === 'bedrock') return headers.authorization === (await signatureOf(received))
  if (vendor === 'vertex') return headers.authorization === `Bearer ${keyOf('vertex')}`
  const bearer = headers.authorization?.replace(/^Bearer /, '')
  const key = headers['api-key'] ?? headers['x-api-key'] ?? headers['x-goog-api-key'] ?? bearer
  return key === keyOf(vendor)
}

/** Returns the authorization that AWS itself computes of the request. */
async function signatureOf({ method, url, headers, body }: Received): Promise<string | undefined> {
  const named = /SignedHeaders=([^,]+)/.exec(headers.authorization ?? '')?.[1]?.split(';')
  const date = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(String(headers['x-amz-date']))
  if (!named || !date) return undefined
  const [, year, month, day, hour, minute, second] = date
  const { pathname, searchParams } = new URL(url, 'http://provider')
  const signed = Object.fromEntries(named.map((name) => [name, String(headers[name])]))
  const isHashed = named.includes('x-amz-content-sha256')
  if (isHashed && signed['x-amz-content-sha256'] !== createHash('sha256').update(body).digest('hex')) return undefined
  const credentials = { accessKeyId: AWS.AWS_ACCESS_KEY_ID, secretAccessKey: AWS.AWS_SECRET_ACCESS_KEY }
  const signer = new SignatureV4({
    ...{ credentials, region: 'us-east-1', service: 'bedrock', sha256: Sha256 },
    applyChecksum: isHashed,
  })
  const host = new URL(`http://${headers.host}`)
  const request = {
    ...{ method, body, protocol: 'http:', hostname: host.hostname, port: Number(host.port), path: pathname },
    ...{ query: Object.fromEntries(searchParams), headers: signed },
  }
  const signingDate = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return (await signer.sign(request, { signingDate })).headers.authorization
}

// Google's tokens

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const PUBLIC = publicKey.export({ type: 'spki', format: 'pem' }).toString()

/** The key of a service account, as Google's console writes it. */
export const serviceAccount = (url: string): string =>
  JSON.stringify({
    type: 'service_account',
    client_email: 'robot@house.iam.gserviceaccount.com',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    token_uri: `${url}/token`,
  })

/** Google gives a token for a text signed with the account's key. */
const givesToken: Script = async (response, { body }) => {
  const assertion = new URLSearchParams(body).get('assertion') ?? ''
  const isRight = await jwtVerify(assertion, await importSPKI(PUBLIC, 'RS256')).then(
    () => true,
    () => false,
  )
  const token = { access_token: keyOf('vertex'), expires_in: 3_600 }
  return sends(isRight ? 200 : 400, JSON_TYPE, isRight ? token : failure('invalid_grant'))(response)
}
