// The programs that a release is built with.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { root } from '../bundle.mjs'

/** Runs a program in the project; its output is shown only when it fails. */
export function run(program, args, env = {}) {
  try {
    return execFileSync(program, args, { cwd: root, env: { ...process.env, ...env }, stdio: 'pipe', encoding: 'utf8' })
  } catch (error) {
    throw new Error(`${program} ${args.join(' ')}\n${error.stdout ?? ''}${error.stderr ?? error.message}`)
  }
}

/** The Python of an environment that has what a requirements file names; made once. */
export function pythonWith(requirements, folder) {
  const wanted = readFileSync(requirements, 'utf8')
  const python = `${folder}/bin/python`
  if (existsSync(`${folder}/.installed`) && readFileSync(`${folder}/.installed`, 'utf8') === wanted) return python
  rmSync(folder, { recursive: true, force: true })
  run('python3', ['-m', 'venv', folder])
  run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements])
  writeFileSync(`${folder}/.installed`, wanted)
  return python
}
