// The programs that a release is built with.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'

export const root = `${resolve(import.meta.dirname, '../..')}/`

/** Runs a program in the project; its output is shown only when it fails. */
export function run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  try {
    return execFileSync(program, args, { cwd: root, env: { ...process.env, ...env }, stdio: 'pipe', encoding: 'utf8' })
  } catch (error) {
    const { stdout = '', stderr, message } = error as Error & { stdout?: string; stderr?: string }
    throw new Error(`${program} ${args.join(' ')}\n${stdout}${stderr ?? message}`)
  }
}

/** The Python of an environment with the packages of a requirements file; made once. */
export function pythonWith(requirements: string, folder: string): string {
  const wanted = readFileSync(requirements, 'utf8')
  const python = `${folder}/bin/python`
  if (existsSync(`${folder}/.installed`) && readFileSync(`${folder}/.installed`, 'utf8') === wanted) return python
  rmSync(folder, { recursive: true, force: true })
  run('python3', ['-m', 'venv', folder])
  run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements])
  writeFileSync(`${folder}/.installed`, wanted)
  return python
}
