import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { unpack } from '../../src/core/package-folder.ts'

const FILES: Record<string, string> = { 'python/shim/sitecustomize.py': 'import os\n', 'dist/web/index.html': '<p>' }
const contentOf = (path: string) => Buffer.from(FILES[path]!)
const manifest = Object.fromEntries(
  Object.keys(FILES).map((path) => [path, createHash('sha256').update(contentOf(path)).digest('hex')]),
)

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-files-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

test('the files are laid out for this user only, and nothing else', async () => {
  const place = join(freshFolder(), 'cache', 'iron-cage')
  const folder = unpack(manifest, contentOf, [place], 'a1')
  expect(folder).toBe(join(place, 'a1/'))
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name)
  expect(files.sort()).toEqual(['index.html', 'sitecustomize.py'])
  for (const path of ['', 'python/shim', 'dist/web']) expect(modeOf(folder + path)).toBe('700')
  for (const [path, content] of Object.entries(FILES)) {
    expect(readFileSync(folder + path, 'utf8')).toBe(content)
    expect(modeOf(folder + path)).toBe('600')
  }
})

test('a file that was changed or removed is put back, the others are left alone', () => {
  const place = freshFolder()
  const folder = unpack(manifest, contentOf, [place], 'a1')
  const untouched = statSync(`${folder}dist/web/index.html`).ino
  writeFileSync(`${folder}python/shim/sitecustomize.py`, 'import evil\n')
  unpack(manifest, contentOf, [place], 'a1')
  expect(readFileSync(`${folder}python/shim/sitecustomize.py`, 'utf8')).toBe('import os\n')
  expect(statSync(`${folder}dist/web/index.html`).ino).toBe(untouched)
})

test('a link in the place of a file is replaced, not followed', () => {
  const place = freshFolder()
  const elsewhere = join(freshFolder(), 'precious')
  writeFileSync(elsewhere, 'precious')
  mkdirSync(join(place, 'a1/dist/web'), { recursive: true })
  symlinkSync(elsewhere, join(place, 'a1/dist/web/index.html'))
  unpack(manifest, contentOf, [place], 'a1')
  expect(readFileSync(elsewhere, 'utf8')).toBe('precious')
})

test('a location that is a link, not a folder, or open to others is skipped; without any location there is an error', () => {
  const [link, file, open, good] = [
    join(freshFolder(), 'link'),
    join(freshFolder(), 'file'),
    freshFolder(),
    freshFolder(),
  ]
  symlinkSync(good, link)
  writeFileSync(file, '')
  chmodSync(open, 0o777)
  expect(unpack(manifest, contentOf, [link, file, open, good], 'a1')).toBe(join(good, 'a1/'))
  expect(() => unpack(manifest, contentOf, [link, file, open], 'a1')).toThrow(/no place for the program's own files/)
})
