// The parts of the executable beside npm packages: the parts of Node, SQLite, and the crates in a native package.
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import Database from 'better-sqlite3'
import { nodeItself } from '../third-party.mjs'

/** Names of `process.versions` that are no part: Node itself, numbers of interfaces, and data of ICU. */
const NO_PARTS = ['node', 'modules', 'napi', 'cldr', 'tz', 'unicode']

/** The other names: as Node's LICENSE calls the part, and its license (SPDX). */
const PARTS = {
  acorn: ['Acorn', 'MIT'],
  ada: ['ada', 'MIT'],
  amaro: ['amaro', 'MIT'],
  ares: ['c-ares', 'MIT'],
  brotli: ['brotli', 'MIT'],
  icu: ['ICU', 'Unicode-3.0'],
  llhttp: ['llhttp', 'MIT'],
  merve: ['merve', 'MIT'],
  nbytes: ['nbytes', 'MIT'],
  ncrypto: ['ncrypto', 'MIT'],
  nghttp2: ['nghttp2', 'MIT'],
  openssl: ['OpenSSL', 'Apache-2.0'],
  simdjson: ['simdjson', 'Apache-2.0'],
  simdutf: ['simdutf', 'MIT'],
  sqlite: ['SQLite', 'blessing'],
  undici: ['undici', 'MIT'],
  uv: ['libuv', 'MIT'],
  uvwasi: ['uvwasi', 'MIT'],
  v8: ['V8', 'BSD-3-Clause'],
  zlib: ['zlib', 'Zlib'],
  zstd: ['zstd', 'BSD-3-Clause'],
}

/** Parts without a version in Node, by the name in its LICENSE. */
const WITHOUT_VERSION = {
  'abseil-cpp': 'Apache-2.0',
  caja: 'Apache-2.0',
  HdrHistogram: 'BSD-2-Clause',
  inspector_protocol: 'BSD-3-Clause',
  large_pages: 'MIT',
  minimatch: 'BlueOak-1.0.0',
  'node-fs-extra': 'MIT',
  'node-heapdump': 'ISC',
  'on-exit-leak-free': 'MIT',
  'Punycode.js': 'MIT',
  rimraf: 'ISC',
  SipHash: 'MIT',
  'sonic-boom': 'MIT',
  swc: 'Apache-2.0',
}

/** In Node's LICENSE for its sources and tools, and not in the program. */
const NOT_BUILT_IN = [
  ...['corepack', 'cpplint.py', 'gtest', 'GYP', 'gypi_to_gn.py', 'ittapi', 'jinja2', 'LIEF', 'markupsafe'],
  ...['nghttp3', 'ngtcp2', 'npm', 'postject'],
]

/** Licenses of crates. That of `argon2-rust` is stated nowhere in the package that contains it. */
const CRATES = {
  addr2line: 'Apache-2.0 OR MIT',
  'argon2-rust': null,
  gimli: 'MIT OR Apache-2.0',
  hashbrown: 'MIT OR Apache-2.0',
  miniz_oxide: 'MIT OR Zlib OR Apache-2.0',
  napi: 'MIT',
  rand: 'MIT OR Apache-2.0',
  'rustc-demangle': 'MIT OR Apache-2.0',
}

/**
 * Parts by the package that contains them: `{ name, version?, license, purl }`, a license of null is unknown. Throws
 * Error when Node, its LICENSE or the native package names one that is not listed above: then it has to be.
 */
export const innerParts = () => ({
  node: partsOfNode(),
  'better-sqlite3': [generic('SQLite', sqliteVersion(), 'blessing')],
  '@node-rs/argon2': cratesOf(),
})

function partsOfNode() {
  const licensed = [...readFileSync(`${nodeItself().folder}/LICENSE`, 'utf8').matchAll(/^- (.+?), located at /gm)]
  const known = new Set([
    ...Object.values(PARTS).map(([name]) => name),
    ...Object.keys(WITHOUT_VERSION),
    ...NOT_BUILT_IN,
  ])
  const versions = Object.entries(process.versions).filter(([name, version]) => version && !NO_PARTS.includes(name))
  const unknown = [
    ...licensed.map(([, name]) => name).filter((name) => !known.has(name)),
    ...versions.map(([name]) => name).filter((name) => !(name in PARTS)),
  ]
  if (unknown.length > 0) throw new Error(`Node has parts that inner-parts.mjs does not list: ${unknown.join(', ')}`)
  return [
    ...versions.map(([name, version]) => generic(PARTS[name][0], version, PARTS[name][1])),
    ...Object.entries(WITHOUT_VERSION).map(([name, license]) => generic(name, undefined, license)),
  ]
}

/** The crates whose sources a panic would name. */
function cratesOf() {
  const folder = resolve(import.meta.dirname, '../../node_modules/@node-rs')
  const binaries = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.node'))
  const text = binaries.map((path) => readFileSync(`${folder}/${path}`, 'latin1')).join('\n')
  const found = [...text.matchAll(/([a-z][\w-]*)-(\d+\.\d+\.\d+)(?:\+[\w.]+)?\/src\//g)]
  const crates = new Map(found.map(([, name, version]) => [name, version]))
  return [...crates].sort().map(([name, version]) => {
    if (!(name in CRATES)) throw new Error(`@node-rs/argon2 has a crate that inner-parts.mjs does not list: ${name}`)
    return { name, version, license: CRATES[name], purl: `pkg:cargo/${name}@${version}` }
  })
}

const sqliteVersion = () => new Database(':memory:').prepare('SELECT sqlite_version()').pluck().get()

function generic(name, version, license) {
  return { name, version, license, purl: `pkg:generic/${name.toLowerCase()}${version ? `@${version}` : ''}` }
}
