/**
 * What makes an agent's programs trust the certificates of this server: a file with our authority and all that this
 * machine trusts, and the variables by which programs find such a file. Wget and Java read other files.
 */
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { getCACertificates } from 'node:tls'
import type { CertificateAuthority } from './certificates.ts'
import { javaStoreOf } from './java-roots.ts'

/** OpenSSL, Requests, curl, Node, Git, httplib2, Nix, AWS, pip, npm, Cargo, Deno, gRPC, gcloud. */
const VARIABLES = [
  'SSL_CERT_FILE',
  'REQUESTS_CA_BUNDLE',
  'CURL_CA_BUNDLE',
  'NODE_EXTRA_CA_CERTS',
  'GIT_SSL_CAINFO',
  'HTTPLIB2_CA_CERTS',
  'NIX_SSL_CERT_FILE',
  'AWS_CA_BUNDLE',
  'PIP_CERT',
  'npm_config_cafile',
  'CARGO_HTTP_CAINFO',
  'DENO_CERT',
  'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
  'CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE',
]

/** The file of all roots, by distribution. */
const ROOT_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

export interface Trust {
  /** Variables of every agent that has egress. */
  variables: Readonly<Record<string, string>>
  close(): Promise<void>
}

/** `environment`: of the user, whose own files of certificates stay trusted. */
export async function openTrust(
  authority: CertificateAuthority,
  environment: Readonly<Record<string, string>>,
  more: readonly string[],
): Promise<Trust> {
  const folder = await mkdtemp(join(tmpdir(), 'iron-cage-ca-'))
  const file = join(folder, 'roots.pem')
  const named = VARIABLES.flatMap((name) => environment[name] ?? []).filter((path) => existsSync(path))
  const own = [...new Set(named)].map((path) => readFileSync(path, 'utf8'))
  const roots = [authority.certificate, ...machineRoots(), ...more, ...own].map(endedByNewline).join('')
  await writeFile(file, roots, { mode: 0o444 })
  return {
    variables: {
      ...Object.fromEntries(VARIABLES.map((name) => [name, file])),
      ...(await forWget(folder, file, environment)),
      ...(await forJava(folder, roots, environment)),
      ...forNode(process.versions.node),
      IRON_CAGE_CA_SPKI: authority.publicKeyHash,
    },
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Wget reads no variable for roots, but one for its settings: those of the user, and the file. */
async function forWget(folder: string, roots: string, { WGETRC, HOME }: Readonly<Record<string, string>>) {
  const own = WGETRC ?? (HOME && join(HOME, '.wgetrc'))
  const settings = own && existsSync(own) ? endedByNewline(readFileSync(own, 'utf8')) : ''
  const file = join(folder, 'wgetrc')
  await writeFile(file, `${settings}ca_certificate = ${roots}\n`, { mode: 0o400 })
  return { WGETRC: file }
}

/** Only where there is a Java, which prints its options on stderr. */
async function forJava(
  folder: string,
  roots: string,
  { PATH = '' }: Readonly<Record<string, string>>,
): Promise<Record<string, string>> {
  if (!PATH.split(delimiter).some((path) => existsSync(join(path, 'java')))) return {}
  const file = join(folder, 'roots.jks')
  await writeFile(file, javaStoreOf(roots), { mode: 0o444 })
  return { IRON_CAGE_CA_JKS: file, JAVA_TOOL_OPTIONS: `-Djavax.net.ssl.trustStore="${file}"` }
}

/** Node 22 prints a warning in each process that has NODE_USE_ENV_PROXY and a proxy. Node 18 knows no such option. */
const forNode = (version: string): Record<string, string> =>
  Number.parseInt(version, 10) < 24 ? { NODE_OPTIONS: '--disable-warning=UNDICI-EHPA' } : {}

function machineRoots(): string[] {
  const file = ROOT_FILES.find((path) => existsSync(path))
  return file === undefined ? getCACertificates('default') : [readFileSync(file, 'utf8')]
}

const endedByNewline = (text: string): string => (text.endsWith('\n') ? text : `${text}\n`)
