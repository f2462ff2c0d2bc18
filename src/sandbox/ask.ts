/** Asks an agent's interpreter a question before the agent runs. It may be the work of an agent, so it answers in a sandbox. */
import { spawnSync } from 'node:child_process'
import type { Config } from '../config/schema.ts'
import { type CageRequest, launcherPython, launching, outside, ownFolder } from './cage.ts'

export interface Question {
  settings: Config['agent']['sandbox']
  /** The interpreter: a path, or a name to look up. */
  program: string
  args: readonly string[]
  cwd: string
  environment: CageRequest['environment']
  /** Folders that agents may write, or could. */
  agentFolders: readonly string[]
}

/** The exit code of a launcher that cannot build its sandbox. */
const NO_SANDBOX = 126

/**
 * Returns its output; undefined when it fails, or may not run. Without a sandbox only where the agent would have none.
 */
export function ask(question: Question): string | undefined {
  const { program, args, cwd, environment, settings } = question
  const isOpen = settings.level === 'off' || process.platform !== 'linux'
  const python = isOpen ? undefined : launcherPython({ ...question, command: { program, args } })
  if (python !== undefined) {
    const { env, options } = outside(environment)
    const words = ['--level', 'auto', '--read', ownFolder(), ...options, '--', program, ...args]
    const { status, stdout } = spawnSync(python, [...launching(), ...words], { cwd, env, encoding: 'utf8' })
    if (status !== NO_SANDBOX || settings.level !== 'auto') return status === 0 ? stdout : undefined
  }
  if (!isOpen && settings.level !== 'auto') return undefined
  const { status, stdout } = spawnSync(program, args, { cwd, env: environment, encoding: 'utf8' })
  return status === 0 ? stdout : undefined
}
