/**
 * Facts about an agent and this machine, found without running anything of the agent: the facts that strategies name
 * and that a choice is explained with.
 */
import { readFileSync, statSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'
import { findProgram } from '../agents/command.ts'

/** A fact that can be checked, as strategies write it: `kind: value`, with alternatives between bars. */
export interface Fact {
  kind: FactKind
  /** One of them suffices. */
  values: readonly string[]
}

export const FACT_KINDS = {
  imports: 'a package that the code imports',
  file: "a file of the agent's folder",
  interface: 'function, script or graph: how the agent can be called',
  needs: 'gpu',
  program: 'a program on PATH',
  module: "a package that the agent's Python has",
  variable: 'an environment variable that is set',
  language: 'python, node or program',
} as const

export type FactKind = keyof typeof FACT_KINDS

/** Undefined for text that is no fact. */
export function asFact(text: string): Fact | undefined {
  const [, kind = '', value = ''] = /^([a-z_]+): (.+)$/.exec(text) ?? []
  if (!Object.hasOwn(FACT_KINDS, kind)) return undefined
  return { kind: kind as FactKind, values: value.split('|').map((word) => word.trim()) }
}

export const showFact = ({ kind, values }: Fact): string => `${kind}: ${values.join('|')}`

/** The facts about an agent. */
export interface AgentFacts {
  /** Absolute path of the script. */
  script: string
  /** Its folder. */
  folder: string
  language: 'python' | 'node' | 'program'
  /** `function`: what its module has to be called by; `graph`: a compiled LangGraph; else each call is a run of the script. */
  interface: 'function' | 'graph' | 'script'
  /** The function or graph. */
  callable: string | null
  /** Top-level packages that the script and the modules beside it import. */
  imports: ReadonlySet<string>
  needsGpu: boolean
}

/** Where the facts about the machine are read. */
export interface Machine {
  variables: Readonly<Record<string, string>>
  /** Whether the agent's Python has a package. */
  hasModule: (name: string) => boolean
}

/** The names that make a function the interface of an agent, in this order. */
const CALLABLES = ['predict', 'run'] as const

/** Reads the source of an agent. `script`: absolute path of a file that is there. */
export function readAgentFacts(script: string): AgentFacts {
  const folder = dirname(script)
  const ending = extname(script)
  const language = ending === '.py' ? 'python' : ['.js', '.mjs', '.ts'].includes(ending) ? 'node' : 'program'
  const source = language === 'python' ? readFileSync(script, 'utf8') : ''
  const imports = language === 'python' ? importsOf(script) : new Set<string>()
  const graph = /^(\w+)\s*(?::[^=\n]+)?=.*\.compile\(/m.exec(source)?.[1]
  const called = CALLABLES.find((name) => new RegExp(`^(async )?def ${name}\\(`, 'm').test(source))
  return {
    script,
    folder,
    language,
    interface: called ? 'function' : graph && imports.has('langgraph') ? 'graph' : 'script',
    callable: called ?? (imports.has('langgraph') ? (graph ?? null) : null),
    imports,
    needsGpu: ['vllm', 'bitsandbytes', 'flash_attn'].some((name) => imports.has(name)) || /\bcuda\b/.test(source),
  }
}

/** Follows imports of modules beside the script. */
function importsOf(script: string): Set<string> {
  const names = new Set<string>()
  const files = [script]
  const seen = new Set<string>()
  for (let file = files.pop(); file !== undefined; file = files.pop()) {
    if (seen.has(file)) continue
    seen.add(file)
    for (const [, from, listed = ''] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
      for (const name of from ? [from] : listed.split(',').map((word) => word.trim().split(/[\s.]/)[0]!)) {
        const beside = join(dirname(script), `${name}.py`)
        if (isFile(beside)) files.push(beside)
        else names.add(name)
      }
    }
  }
  return names
}

const IMPORT = /^[ \t]*(?:from[ \t]+(\w+)[\w.]*[ \t]+import\b|import[ \t]+([\w., \t]+))/gm

/** Whether a fact holds. */
export function holds(fact: Fact, agent: AgentFacts, machine: Machine): boolean {
  return fact.values.some((value) => CHECKS[fact.kind](value, agent, machine))
}

const CHECKS: Readonly<Record<FactKind, (value: string, agent: AgentFacts, machine: Machine) => boolean>> = {
  imports: (name, { imports }) => imports.has(name),
  file: (name, { folder }) => isFile(join(folder, name)),
  interface: (name, agent) => agent.interface === name,
  needs: (name, { needsGpu }) => name === 'gpu' && needsGpu,
  program: (name, _, { variables }) => findProgram(name, variables) !== undefined,
  module: (name, _, { hasModule }) => hasModule(name),
  variable: (name, _, { variables }) => Boolean(variables[name]),
  language: (name, { language }) => language === name,
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false

/** What people are shown of an agent. */
export function describeAgent({
  script,
  language,
  interface: kind,
  callable,
  imports,
  needsGpu,
}: AgentFacts): string[] {
  const packages = [...imports].sort()
  return [
    `${basename(script)}, ${language}`,
    kind === 'script' ? 'each call is a run of the script' : `called by its ${kind} ${callable}`,
    `imports ${packages.length > 0 ? packages.join(', ') : 'nothing'}`,
    needsGpu ? 'needs a GPU' : 'needs no GPU',
  ]
}
