/**
 * The certificate authority of one server. Its key is made at the first use and exists in memory alone, so that there is
 * nothing to steal or rotate: a restarted server has another one. It signs for hosts of services and providers only, and
 * only the agents of this server trust it (`trust.ts`). It is never installed in the system's store.
 */
import { generateKeyPairSync, hash, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_serverAuth,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509'
import type { Clock } from '../core/clock.ts'

const DAY_MS = 86_400_000
/** Longer than a server runs. */
const AUTHORITY_DAYS = 365
const LEAF_DAYS = 7
/** Clocks may be behind. */
const EARLIER_MS = 3_600_000
/** Beyond it the oldest are made again when needed. */
const MAX_HOSTS = 1_000
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'
const COMMON_NAME = '2.5.4.3'
const MAX_COMMON_NAME = 64
const NAME = 'Iron Cage, this server only'

interface Leaf {
  context: SecureContext
  /** Epoch ms. */
  until: number
}

/** The subject of a certificate. */
interface Party {
  name: string
  publicKey: KeyObject
}

export class CertificateAuthority {
  readonly #clock: Clock
  readonly #key: KeyObject
  readonly #own: Party
  readonly #certificate: X509Certificate
  /** One key for all leaves: making one costs more than signing. */
  readonly #leafKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  readonly #leaves = new Map<string, Leaf>()

  constructor(clock: Clock) {
    this.#clock = clock
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    this.#key = privateKey
    this.#own = { name: NAME, publicKey }
    this.#certificate = this.#certify(this.#own, AUTHORITY_DAYS, [
      extension(id_ce_basicConstraints, new BasicConstraints({ cA: true, pathLenConstraint: 0 }), true),
      extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign), true),
    ])
  }

  /** PEM. */
  get certificate(): string {
    return this.#certificate.toString()
  }

  /** SHA-256 of the certificate. */
  get fingerprint(): string {
    return this.#certificate.fingerprint256
  }

  /** SHA-256 of the public key in Base64, as Chromium's `--ignore-certificate-errors-spki-list` takes it. */
  get publicKeyHash(): string {
    return hash('sha256', derOf(this.#own.publicKey), 'base64')
  }

  /** The certificate that a server at this host presents, followed by the authority's. */
  contextFor(host: string): SecureContext {
    const known = this.#leaves.get(host)
    if (known && known.until > this.#clock.now()) return known.context
    const key = this.#leafKeys.privateKey.export({ type: 'pkcs8', format: 'pem' })
    const context = createSecureContext({ key, cert: this.#leafFor(host).toString() + this.certificate })
    if (this.#leaves.size >= MAX_HOSTS) this.#leaves.delete(this.#leaves.keys().next().value!)
    this.#leaves.set(host, { context, until: this.#clock.now() + (LEAF_DAYS - 1) * DAY_MS })
    return context
  }

  #leafFor(host: string): X509Certificate {
    const name = new GeneralName(isIP(host) ? { iPAddress: host } : { dNSName: host })
    return this.#certify({ name: host, publicKey: this.#leafKeys.publicKey }, LEAF_DAYS, [
      extension(id_ce_subjectAltName, new SubjectAlternativeName([name])),
      extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.digitalSignature), true),
      extension(id_ce_extKeyUsage, new ExtendedKeyUsage([id_kp_serverAuth])),
    ])
  }

  #certify(subject: Party, days: number, extensions: Extension[]): X509Certificate {
    const algorithm = new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 })
    const from = this.#clock.now() - EARLIER_MS
    const issuerKeyId = new AuthorityKeyIdentifier({ keyIdentifier: new OctetString(keyId(this.#own.publicKey)) })
    const signed = new TBSCertificate({
      version: Version.v3,
      serialNumber: serialNumber(),
      signature: algorithm,
      issuer: commonName(NAME),
      validity: new Validity({ notBefore: new Date(from), notAfter: new Date(from + days * DAY_MS) }),
      subject: commonName(subject.name),
      subjectPublicKeyInfo: AsnConvert.parse(derOf(subject.publicKey), SubjectPublicKeyInfo),
      extensions: new Extensions([
        ...extensions,
        extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(keyId(subject.publicKey))),
        extension(id_ce_authorityKeyIdentifier, issuerKeyId),
      ]),
    })
    const signature = sign('sha256', Buffer.from(AsnConvert.serialize(signed)), this.#key)
    const whole = { tbsCertificate: signed, signatureAlgorithm: algorithm, signatureValue: plain(signature) }
    return new X509Certificate(Buffer.from(AsnConvert.serialize(new Certificate(whole))))
  }
}

function commonName(text: string): Name {
  const value = new AttributeValue({ utf8String: text.slice(0, MAX_COMMON_NAME) })
  return new Name([new RelativeDistinguishedName([new AttributeTypeAndValue({ type: COMMON_NAME, value })])])
}

const extension = (id: string, content: object, isCritical = false): Extension =>
  new Extension({ extnID: id, critical: isCritical, extnValue: new OctetString(AsnConvert.serialize(content)) })

/** A positive number of 16 bytes. */
function serialNumber(): ArrayBuffer {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0]! & 0x7f) | 0x40
  return plain(bytes)
}

const derOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })

const keyId = (key: KeyObject): ArrayBuffer => plain(hash('sha256', derOf(key), 'buffer').subarray(0, 20))

const plain = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer
