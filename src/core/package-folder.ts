/**
 * Finds the program's own files: the dashboard, the Python SDK and its shim, the demo, native parts. In a checkout and
 * in the npm package they are next to the program. The single executable contains them and extracts them to a private
 * folder of the user, since Python and the system's loader read files only.
 *
 * The rules are:
 * - The folder is named by its content, so two versions never share one.
 * - Every file is compared with its SHA-256 at each start, and rewritten, under another name and then renamed, when it
 *   differs. So any number of programs may start at once, and a running one never sees half a file.
 * - The parent folder belongs to the user and no other user may write to it; else the next place is tried.
 */
import { createHash, randomBytes } from 'node:crypto'
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { getAsset, getRawAsset, isSea } from 'node:sea'
import { fileURLToPath } from 'node:url'
import { CageError } from './errors.ts'

/** SHA-256 in hex by path. */
export type Manifest = Readonly<Record<string, string>>

/** The asset of the executable that lists all others. */
export const MANIFEST = 'manifest.json'

let folder: string | undefined

/** Ends with a slash. Throws CageError `internal` when the executable finds no place for its files. */
export function packageFolder(): string {
  // A module of the build lies one folder deep.
  folder ??= isSea() ? unpackExecutable() : fileURLToPath(new URL(isSource ? '../..' : '..', import.meta.url))
  return folder
}

/** Run from a checkout, unbuilt. */
const isSource = import.meta.url.endsWith('.ts')

/** True in the single executable, which cannot run scripts as Node does. */
export const isSingleExecutable = isSea

/** The program of a thread, by its source: in a checkout the source itself, else its built file next to the program. */
export function threadFile(source: URL): URL | string {
  const name = source.pathname.slice(source.pathname.lastIndexOf('/') + 1, -'.ts'.length)
  if (isSea()) return `${packageFolder()}dist/${name}.cjs`
  return isSource ? source : new URL(`./${name}.mjs`, import.meta.url)
}

function unpackExecutable(): string {
  const text = getAsset(MANIFEST, 'utf8')
  const manifest = JSON.parse(text) as Manifest
  const name = createHash('sha256').update(text).digest('hex').slice(0, 16)
  const user = process.getuid?.() ?? 'user'
  const places = [join(homedir(), '.cache', 'iron-cage'), join(tmpdir(), `iron-cage-${user}`)]
  return unpack(manifest, (path) => new Uint8Array(getRawAsset(path)), places, name)
}

/** Extracts every file of the manifest to `<the first usable of places>/<name>/` and returns that folder. */
export function unpack(
  manifest: Manifest,
  contentOf: (path: string) => Uint8Array,
  places: readonly string[],
  name: string,
): string {
  const faults: string[] = []
  for (const place of places) {
    try {
      requirePrivateFolder(place)
      for (const [path, sha256] of Object.entries(manifest)) putFile(join(place, name, path), sha256, contentOf, path)
      return `${join(place, name)}/`
    } catch (error) {
      faults.push((error as Error).message)
    }
  }
  throw new CageError('internal', `there is no place for the program's own files\n${faults.join('\n')}`, {
    hint: `make ${places[0]} a folder that only you can write to`,
  })
}

function requirePrivateFolder(path: string): void {
  mkdirSync(dirname(path), { recursive: true })
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const stats = lstatSync(path)
  const isOurs = stats.isDirectory() && stats.uid === (process.getuid?.() ?? stats.uid)
  if (!isOurs) throw new Error(`${path} is not a folder of this user`)
  if (stats.mode & 0o022) throw new Error(`${path} can be written to by others`)
}

function putFile(target: string, sha256: string, contentOf: (path: string) => Uint8Array, path: string): void {
  if (contentHash(readIfThere(target)) === sha256) return
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
  const draft = `${target}.${randomBytes(6).toString('hex')}`
  try {
    writeFileSync(draft, contentOf(path), { mode: 0o600, flag: 'wx' })
    renameSync(draft, target)
  } finally {
    rmSync(draft, { force: true })
  }
}

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

const contentHash = (content: Uint8Array | undefined): string | undefined =>
  content && createHash('sha256').update(content).digest('hex')
