// Whose code the product contains: the packages behind what esbuild bundles, and the native ones beside it.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { root } from './bundle.mjs'

/** Loaded from their own folders, since they have machine code: that of the second is in a package for each platform. */
const NATIVE = ['better-sqlite3', '@node-rs/argon2']

/**
 * The packages with a byte in the bundle, and the native ones, by name: `{ name, version, license, folder }`, the
 * folder within the project. `results` are those of esbuild, made with `metafile`.
 */
export function packagesOf(results) {
  const inputs = results.flatMap(({ metafile }) =>
    Object.values(metafile.outputs).flatMap((output) =>
      Object.entries(output.inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : [])),
    ),
  )
  const bundled = inputs.filter((path) => path.includes('node_modules/')).map(packageFolder)
  const folders = new Set([...bundled, ...NATIVE.flatMap(withPlatformPackages)])
  return [...folders]
    .map((folder) => describe(relative(root, resolve(folder))))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The Node that runs this, and that the executable is, in the same form. */
export function nodeItself() {
  return { name: 'node', version: process.versions.node, license: 'MIT', folder: dirname(dirname(process.execPath)) }
}

/**
 * One text with the license of every package, as their licenses ask. A package that only names its license has the text
 * of another with the same one. Throws Error when there is none.
 */
export function notices(packages) {
  const parts = packages.map(({ name, version, license, folder }) => {
    const peers = packages.filter((other) => other.license === license)
    const text = licenseText(folder) || peers.map((other) => licenseText(other.folder)).find(Boolean)
    if (!text) throw new Error(`nowhere is the text of ${license}, the license of ${name}`)
    return `${name} ${version} (${license})\n\n${text}\n`
  })
  return `Iron Cage contains these packages.\n\n${parts.join(`\n${'-'.repeat(80)}\n\n`)}`
}

const licenseText = (folder) =>
  readdirSync(resolve(root, folder))
    .filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
    .map((file) => readFileSync(resolve(root, folder, file), 'utf8').trim())
    .join('\n\n')

/** npm has installed those of this platform only. */
function withPlatformPackages(name) {
  const folder = `${root}node_modules/${name}`
  const { optionalDependencies = {} } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
  const platform = Object.keys(optionalDependencies).map((part) => `${root}node_modules/${part}`)
  return [folder, ...platform.filter((path) => existsSync(path))]
}

/** node_modules/a/node_modules/@b/c/d.js → node_modules/a/node_modules/@b/c */
const packageFolder = (path) => path.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/)[0]

function describe(folder) {
  const { name, version, license } = JSON.parse(readFileSync(resolve(root, folder, 'package.json'), 'utf8'))
  if (!license) throw new Error(`${name} names no license: may it be part of the product?`)
  return { name, version, license, folder }
}
