/**
 * A deployment's steps, before they are taken: the files that are written, in a separate folder below
 * `.iron-cage/deploy/`, and the commands that are run.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { CageError } from '../core/errors.ts'
import { findPii } from '../redaction/redactor.ts'
import type { AgentFacts } from './facts.ts'
import type { Strategy } from './strategy.ts'

/** The values of `{placeholders}` in deploy commands and templates. */
export interface Placeholders {
  /** Of the deployment: letters, digits and hyphens. */
  name: string
  /** Absolute path of the agent's script, its file's name, and its folder. */
  script: string
  file: string
  source: string
  /** The function or graph that is called; empty when each call is a run of the script. */
  callable: string
  /** The folder of the deployment. */
  folder: string
  /** Where the agent answers calls on this machine. */
  port: string
  /** The agent's Python. */
  python: string
  /** The folder of `serve.py` and `caged_agent.py`. */
  sdk: string
  /** The GPU that it needs, by Modal's names; empty for none. */
  gpu: string
  /** podman or docker, with its options. */
  container: string
  /** The agent's hard limit in US dollars. */
  budget: string
  /** Options that give a container the agent's variables, by name: their values are in no command line. */
  env: string
}

/** Required files that are copies: of the agent's folder, and of the executable of Iron Cage. */
const AGENT_COPY = 'agent/'
const PROGRAM_COPY = 'iron-cage'

export interface Plan {
  strategy: Strategy
  /** Absolute path of the folder that is written. */
  folder: string
  /** Contents by path in the folder. */
  files: ReadonlyMap<string, string>
  /** Files of the agent's folder that are copied, by their path in it. */
  agentFiles: readonly string[]
  /** Whether the executable of Iron Cage is copied. */
  copiesProgram: boolean
  /** Commands that run to their end first. */
  preparation: readonly (readonly string[])[]
  /** The command that is supervised. */
  command: readonly string[]
}

/**
 * `serverFiles`: absolute paths of files that are never copied, beside those that are private by name. Throws CageError
 * `invalid_strategy` for a placeholder that there is none of, `bad_request` for files that are missing.
 */
export function planDeployment(
  strategy: Strategy,
  agent: AgentFacts,
  values: Placeholders,
  serverFiles: readonly string[],
): Plan {
  const templates = join(strategy.folder, 'templates')
  const files = new Map<string, string>()
  for (const path of filesBelow(templates)) {
    // The agent's own file has precedence.
    const own = join(agent.folder, path)
    files.set(
      path,
      existsSync(own) ? readFileSync(own, 'utf8') : fill(readFileSync(join(templates, path), 'utf8'), values, path),
    )
  }
  const copies = strategy.requiredStructure.filter((path) => [AGENT_COPY, PROGRAM_COPY].includes(path))
  const missing = strategy.requiredStructure.filter(
    (path) => !files.has(path) && !copies.includes(path) && !existsSync(join(agent.folder, path)),
  )
  if (missing.length > 0) {
    throw new CageError('bad_request', `${strategy.name} needs ${missing.join(', ')} in ${agent.folder}`, {
      hint: `see what it is with "iron-cage strategies show ${strategy.name}"`,
    })
  }
  const lines = strategy.deployCommand.map((line) =>
    line.flatMap((word) => words(fill(word, values, 'Deploy command'), word)),
  )
  return {
    strategy,
    folder: values.folder,
    files,
    agentFiles: copies.includes(AGENT_COPY) ? publicFiles(agent.folder, serverFiles) : [],
    copiesProgram: copies.includes(PROGRAM_COPY),
    preparation: lines.slice(0, -1),
    command: lines.at(-1)!,
  }
}

/** These stand for several words. */
const words = (filled: string, word: string): string[] =>
  word === '{container}' || word === '{env}' ? filled.split(' ').filter(Boolean) : [filled]

function fill(text: string, values: Placeholders, place: string): string {
  return text.replaceAll(/\{([a-z_]+)\}/g, (whole, name: string) => {
    if (Object.hasOwn(values, name)) return values[name as keyof Placeholders]
    // Braces of a program are no placeholders.
    if (place !== 'Deploy command') return whole
    throw new CageError('invalid_strategy', `${place}: there is no placeholder ${whole}`, {
      hint: `use ${Object.keys(values)
        .map((known) => `{${known}}`)
        .join(', ')}`,
    })
  })
}

/**
 * Writes the files, after emptying the folder, which belongs to the deployment alone. `program`: the executable of Iron
 * Cage. Throws CageError `bad_request` when a file of the agent's folder holds a secret.
 */
export function writePlan(
  { folder, files, agentFiles, copiesProgram }: Plan,
  source: string,
  program: () => string,
): void {
  const secrets = agentFiles.filter((path) => holdsSecret(readFileSync(join(source, path), 'utf8')))
  if (secrets.length > 0) {
    throw new CageError('bad_request', `${secrets.join(', ')}: a secret in the file would be in the image`, {
      facts: { path: source },
      hint: 'put it into the vault: iron-cage secrets set <NAME>',
    })
  }
  rmSync(folder, { recursive: true, force: true })
  for (const path of agentFiles) copy(join(source, path), join(folder, AGENT_COPY, path))
  if (copiesProgram) copy(program(), join(folder, PROGRAM_COPY))
  for (const [path, content] of files) {
    const target = join(folder, path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, content)
  }
  mkdirSync(folder, { recursive: true })
  // Files here are made from others and belong in no repository.
  writeFileSync(join(dirname(dirname(folder)), '.gitignore'), '*\n')
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(from, to)
}

/** Files that are never copied: hidden files, installed packages, builds, keys, databases and logs. */
const PRIVATE =
  /(^|\/)(\.[^/]*|node_modules|__pycache__|venv|iron_logs|.*\.(pem|key|p12|pfx|log|pyc|(db|sqlite3?)([.-][^/]*)?))(\/|$)/

/** Larger files are copied unread: no secret was ever typed into them. */
const MAX_READ_BYTES = 1024 * 1024

/** Whether a file of this path is never copied, nor written by anybody but us. */
export const isPrivate = (path: string): boolean => PRIVATE.test(path)

const publicFiles = (folder: string, serverFiles: readonly string[]): string[] =>
  filesBelow(folder).filter(
    (path) => !isPrivate(path) && !serverFiles.some((own) => `${join(folder, path)}/`.startsWith(`${own}/`)),
  )

export const holdsSecret = (text: string): boolean =>
  text.length <= MAX_READ_BYTES && findPii(text, ['secret']).length > 0

const filesBelow = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && !entry.parentPath.includes('__pycache__'))
        .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
        .sort()
    : []
