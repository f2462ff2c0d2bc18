import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  findTrusted,
  findTrustedPython,
  splitEnvironment,
  trustedEnvironment,
} from '../../src/sandbox/trusted-program.ts'

/** Not in /tmp, which is a folder that others may write. */
function newFolder(): string {
  const folder = realpathSync(mkdtempSync('/var/tmp/iron-cage-trusted-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}
/** Looks like an installed Python; returns its file. */
function install(prefix: string, name = 'python3.30'): string {
  mkdirSync(join(prefix, 'bin'), { recursive: true })
  mkdirSync(join(prefix, 'lib', 'python3.12'), { recursive: true })
  writeFileSync(join(prefix, 'bin', name), '\x7fELF', { mode: 0o755 })
  return join(prefix, 'bin', name)
}
function program(folder: string, name: string): string {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, name), '\x7fELF', { mode: 0o755 })
  return join(folder, name)
}

describe('a program that may run outside a sandbox', () => {
  test("a program that may run outside a sandbox is the system's before any that PATH names", () => {
    const folder = newFolder()
    program(folder, 'stty')
    expect(findTrusted('stty', { PATH: folder }, [])).toBe('/usr/bin/stty')
  })

  test('a program that may run outside a sandbox is on PATH in no folder that an agent may write, nor reached through a link in one', () => {
    const folder = newFolder()
    const own = program(join(folder, 'tools'), 'iron-tool')
    mkdirSync(join(folder, 'project'))
    symlinkSync(join(folder, 'tools'), join(folder, 'project/bin'))
    const PATH = [join(folder, 'project/bin'), join(folder, 'tools')].join(':')
    expect(findTrusted('iron-tool', { PATH }, [])).toBe(join(folder, 'project/bin/iron-tool'))
    expect(findTrusted('iron-tool', { PATH }, [join(folder, 'project')])).toBe(own)
    expect(findTrusted('iron-tool', { PATH }, [folder])).toBeUndefined()
  })

  test('a program in a writable folder is not trusted, even if a link names the folder', () => {
    const folder = newFolder()
    program(join(folder, 'tools'), 'iron-tool')
    symlinkSync(join(folder, 'tools'), join(folder, 'link'))
    expect(findTrusted('iron-tool', { PATH: join(folder, 'tools') }, [join(folder, 'link')])).toBeUndefined()
  })

  test('a program below a folder that everyone may write, or in the home of a sandboxed agent, is not trusted', () => {
    const folder = newFolder()
    program(join(folder, 'open/bin'), 'iron-tool')
    expect(findTrusted('iron-tool', { PATH: join(folder, 'open/bin') }, [])).toBeDefined()
    chmodSync(join(folder, 'open'), 0o777)
    expect(findTrusted('iron-tool', { PATH: join(folder, 'open/bin') }, [])).toBeUndefined()
    program(join(folder, '.iron-sandbox/bin'), 'iron-tool')
    expect(findTrusted('iron-tool', { PATH: join(folder, '.iron-sandbox/bin') }, [])).toBeUndefined()
  })

  test.runIf(process.getuid?.() === 0)(
    'a program that may run outside a sandbox belongs to root or to this user',
    async () => {
      const folder = newFolder()
      const { chownSync } = await import('node:fs')
      chownSync(program(join(folder, 'theirs'), 'iron-tool'), 12345, 12345)
      expect(findTrusted('iron-tool', { PATH: join(folder, 'theirs') }, [])).toBeUndefined()
    },
  )

  test('a trusted program searches only those folders of PATH from which it may run', () => {
    const folder = newFolder()
    const PATH = ['/usr/bin', '.', '', folder, join(folder, 'missing')].join(':')
    expect(trustedEnvironment({ PATH, LD_PRELOAD: './x.so', LANG: 'C' }, [folder])).toEqual({
      PATH: '/usr/bin',
      LANG: 'C',
    })
  })

  test('a program that may run outside a sandbox gets no variables from which the C library takes code', () => {
    expect(splitEnvironment({ LD_LIBRARY_PATH: './lib', GCONV_PATH: './g', HOME: '/home/me' })).toEqual({
      safe: { HOME: '/home/me' },
      loader: { LD_LIBRARY_PATH: './lib', GCONV_PATH: './g' },
    })
  })
})

describe('a Python that may run outside a sandbox', () => {
  /** Of a machine whose system has none. */
  const find = (known: string | undefined, writable: readonly string[]) => {
    const found = findTrustedPython(known, {}, writable)
    return found?.startsWith('/usr/') ? undefined : found
  }

  test("a trusted Python is the system's, by its real path", () => {
    const found = findTrustedPython('/project/.venv/bin/python', { PATH: '/project/.venv/bin' }, ['/project'])
    expect(found).toBe(realpathSync('/usr/bin/python3'))
  })

  test('without a system Python, the base of a virtual environment is trusted, unless an agent can write to it', () => {
    const folder = newFolder()
    const base = install(join(folder, 'home/.local/share/uv/python/cpython-3.12'), 'python3.12')
    mkdirSync(join(folder, 'project/.venv/bin'), { recursive: true })
    const python = join(folder, 'project/.venv/bin/python')
    symlinkSync(base, python)
    const system = ['/usr/bin', '/usr/local', '/usr/lib']
    expect(find(python, [...system, join(folder, 'project')])).toBe(base)
    expect(find(python, [...system, join(folder, 'home')])).toBeUndefined()
    // Its libraries are as good as the program.
    expect(find(python, [...system, join(folder, 'home/.local/share/uv/python/cpython-3.12/lib')])).toBeUndefined()
    expect(
      find(python, [...system, join(folder, 'home/.local/share/uv/python/cpython-3.12/lib/python3.12/site-packages')]),
    ).toBeUndefined()
  })

  test.each([
    ['a virtual environment', (prefix: string) => writeFileSync(join(prefix, 'pyvenv.cfg'), 'home = /elsewhere')],
    ['a script', (prefix: string) => writeFileSync(join(prefix, 'bin/python3.12'), '#!/bin/sh')],
    ['without libraries', (prefix: string) => rmSync(join(prefix, 'lib'), { recursive: true })],
    ['too old', (prefix: string) => copyFileSync(join(prefix, 'bin/python3.12'), join(prefix, 'bin/python3.6'))],
  ])('a Python that is %s is not trusted', (name, change) => {
    const prefix = join(newFolder(), 'python')
    const python = install(prefix, 'python3.12')
    const asked = name === 'too old' ? join(prefix, 'bin/python3.6') : python
    change(prefix)
    expect(find(asked, ['/usr/bin', '/usr/local', '/usr/lib'])).toBeUndefined()
  })
})
