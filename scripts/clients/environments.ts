/** Where the clients of the matrix and of the tasks are installed. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { MatrixClient } from './clients.ts'
import type { Installed } from './trial.ts'

const root = resolve(import.meta.dirname, '../..')

/** Makes the environment of a client, once for each list of packages. Returns its interpreter and its programs' folder. */
export function prepare({ packages, program }: Pick<MatrixClient, 'packages' | 'program'>): Installed {
  const isNode = program.endsWith('.mjs')
  const isJava = program.endsWith('.java')
  const key = createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 12)
  const folder = join(root, '.venv-clients', `${program.split('.')[0]}-${key}`)
  const interpreter = isNode ? process.execPath : isJava ? 'java' : join(folder, 'bin/python')
  if (!existsSync(join(folder, '.installed'))) {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const run = (command: string, ...words: string[]) => execFileSync(command, words, { cwd: folder, stdio: 'inherit' })
    if (isNode) {
      writeFileSync(join(folder, 'package.json'), '{"private": true, "type": "module"}')
      run('npm', 'install', '--silent', '--no-audit', '--no-fund', ...packages)
    } else if (!isJava) {
      run('python3', '-m', 'venv', folder)
      run(join(root, '.venv-test/bin/uv'), 'pip', 'install', '--quiet', '--python', interpreter, ...packages)
    }
    writeFileSync(join(folder, '.installed'), packages.join('\n'))
  }
  cpSync(join(import.meta.dirname, 'programs'), folder, { recursive: true })
  return { interpreter, folder }
}
