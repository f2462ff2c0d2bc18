import { execFileSync } from 'node:child_process'
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { AgentFolders } from '../../src/config/agent-folders.ts'

let home: string
let work: string
let file: string
/** The record as a later command reads it. */
const later = () => new AgentFolders(home)
const refused = expect.objectContaining({ code: 'config_untrusted' })
/** The clock of files is coarser than ours, and the next moment must not be the same for either. */
const wait = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 25)

beforeEach(() => {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-folders-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  ;[home, work] = [join(folder, 'home'), join(folder, 'work')]
  mkdirSync(work)
  file = join(work, 'iron-cage.yaml')
})

function whileOpen(folders: AgentFolders, act: () => void): void {
  wait()
  folders.open([work])
  wait()
  act()
  wait()
}

describe('a configuration file', () => {
  test('a configuration file that existed before agents could write is read; one created or changed meanwhile is not', () => {
    writeFileSync(file, '')
    const folders = later()
    whileOpen(folders, () => later().requireUntouched(file))
    writeFileSync(file, 'agent: { sandbox: { level: off } }')
    expect(() => later().requireUntouched(file)).toThrow(refused)
    folders.close()
    expect(() => later().requireUntouched(file)).toThrow(refused)
  })

  test.each([
    ['moved there from elsewhere', (from: string) => renameSync(from, file)],
    ['linked there', (from: string) => symlinkSync(from, file)],
    ['linked there as if it were the same', (from: string) => linkSync(from, file)],
    [
      'in a folder below',
      (from: string) => {
        mkdirSync(join(work, 'below'))
        file = join(work, 'below', 'iron-cage.yaml')
        renameSync(from, file)
      },
    ],
  ])('an old configuration file that was %s is not read', (_name, plant) => {
    const old = join(work, '..', 'old.yaml')
    writeFileSync(old, '')
    const folders = later()
    whileOpen(folders, () => plant(old))
    folders.close()
    expect(() => later().requireUntouched(file)).toThrow(refused)
  })

  test('a configuration file written after the last agent ended is read', () => {
    const folders = later()
    whileOpen(folders, () => {})
    folders.close()
    wait()
    writeFileSync(file, '')
    later().requireUntouched(file)
  })

  test('a configuration file that was hidden from the agents may be edited in place, but not be replaced', () => {
    writeFileSync(file, 'one')
    const folders = later()
    whileOpen(folders, () => {
      folders.hide([work], [file])
      writeFileSync(file, 'two')
    })
    later().requireUntouched(file)
    writeFileSync(`${file}.new`, 'three')
    renameSync(`${file}.new`, file)
    expect(() => later().requireUntouched(file)).toThrow(refused)
  })

  test('a configuration file is read once a person trusts it, until it changes', () => {
    const folders = later()
    whileOpen(folders, () => writeFileSync(file, 'one'))
    later().trust(file)
    later().requireUntouched(file)
    writeFileSync(file, 'two')
    expect(() => later().requireUntouched(file)).toThrow(refused)
  })

  test('a configuration path that is not a regular file is never trusted and never waited for', () => {
    whileOpen(later(), () => execFileSync('mkfifo', [file]))
    expect(() => later().requireUntouched(file)).toThrow(refused)
  })

  test('a configuration file of a folder that a killed server left open is not read, until the next server has begun', () => {
    writeFileSync(join(work, 'first'), '')
    mkdirSync(join(home, '.iron'), { recursive: true })
    const line = { opened: 'x', folder: work, pid: 2 ** 22 + 1, at: Date.now() }
    writeFileSync(join(home, '.iron', 'agent-folders'), `${JSON.stringify(line)}\nhalf a li`)
    wait()
    writeFileSync(file, '')
    expect(() => later().requireUntouched(file)).toThrow(refused)
    const next = later()
    next.open([join(work, '..')])
    next.close()
    wait()
    writeFileSync(file, 'anew')
    later().requireUntouched(file)
  })
})

test('the record of agent folders stays short, because deleted folders are left out', () => {
  const gone = Array.from({ length: 2_000 }, (_, number) => {
    const opened = `gone-${number}`
    return `${JSON.stringify({ opened, folder: `/nowhere/${'x'.repeat(100)}${number}`, pid: process.pid, at: 1 })}\n`
  })
  mkdirSync(join(home, '.iron'), { recursive: true })
  const path = join(home, '.iron', 'agent-folders')
  writeFileSync(path, gone.join(''))
  const folders = later()
  whileOpen(folders, () => writeFileSync(file, ''))
  folders.close()
  expect(readFileSync(path, 'utf8').split('\n').length).toBeLessThan(10)
  expect(() => later().requireUntouched(file)).toThrow(refused)
  expect(existsSync(`${path}.${process.pid}`)).toBe(false)
})
