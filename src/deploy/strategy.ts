/**
 * A deployment strategy: a folder that describes in two Markdown files when it fits (`selector_instruction.md`) and how
 * an agent is deployed with it (`adapter_instruction.md`), for people, coding agents and this program alike. The
 * program reads code spans and code blocks in sections of fixed names; everything else is prose.
 */
import * as z from 'zod'
import { CageError } from '../core/errors.ts'
import { asFact, type Fact } from './facts.ts'

/** A bullet of a section; with a fact, when it begins with one in code: "- `imports: torch` models on a GPU". */
export interface Point {
  fact: Fact | undefined
  text: string
}

export interface Strategy {
  name: string
  /** Absolute path. */
  folder: string
  summary: string
  /** Each fact that holds speaks for the strategy. */
  bestFor: readonly Point[]
  /** One fact that holds rules the strategy out, when it is chosen automatically. */
  notFor: readonly Point[]
  /** Every fact must hold, for a model's choice too. */
  resources: readonly Point[]
  interface: string
  /** Whose machines it uses. */
  provider: string
  /** Command lines as words with placeholders. All but the last run to their end first; the last is the supervised agent. */
  deployCommand: readonly (readonly string[])[]
  runInterface: RunInterface
  /** Files that `templates/` or the agent's folder must have. */
  requiredStructure: readonly string[]
  /** The texts as they are. */
  selectorInstruction: string
  adapterInstruction: string
}

const path = z.string().startsWith('/')

const runInterfaceSchema = z.strictObject({
  type: z.literal('http').default('http'),
  health: path.describe('Path that answers GET with 200 when the agent can be called.'),
  call: path.describe('Path that takes POST.'),
  body: z
    .json()
    .default('{inputs}')
    .describe('The JSON body of a call, with the text "{inputs}" where the inputs belong.'),
  output: z
    .string()
    .default('')
    .describe('Where the output is in the reply: names with dots between. Empty: it is the whole reply.'),
  sandbox: z.enum(['agent', 'container']).default('agent').describe('What confines the agent.'),
  provider_keys: z
    .enum(['inject', 'shield'])
    .optional()
    .describe('What the agent gets for the keys of providers. (Default: what the configuration says.)'),
})

export type RunInterface = z.output<typeof runInterfaceSchema>

const SELECTOR = ['Summary', 'Best For', 'Not For', 'Resources', 'Interface', 'Provider'] as const
const ADAPTER = ['Deploy command', 'Run interface', 'Required structure', 'Examples'] as const

export interface StrategySource {
  name: string
  folder: string
  selectorInstruction: string
  adapterInstruction: string
}

/** Throws CageError `invalid_strategy` with every fault. */
export function parseStrategy(source: StrategySource): Strategy {
  const faults: string[] = []
  const selector = sectionsOf(source.selectorInstruction, SELECTOR, `${source.folder}/selector_instruction.md`, faults)
  const adapter = sectionsOf(source.adapterInstruction, ADAPTER, `${source.folder}/adapter_instruction.md`, faults)
  const points = (section: (typeof SELECTOR)[number]) => pointsOf(selector[section], section, faults)
  const strategy: Strategy = {
    ...source,
    summary: selector.Summary,
    bestFor: points('Best For'),
    notFor: points('Not For'),
    resources: points('Resources'),
    interface: selector.Interface,
    provider: selector.Provider,
    deployCommand: commandOf(adapter['Deploy command'], faults),
    runInterface: runInterfaceOf(adapter['Run interface'], faults),
    requiredStructure: bulletsOf(adapter['Required structure']).flatMap((line) => /^`([^`]+)`/.exec(line)?.[1] ?? []),
  }
  if (faults.length > 0) {
    throw new CageError('invalid_strategy', [`the strategy ${source.name} is broken`, ...faults].join('\n'), {
      facts: { path: source.folder },
    })
  }
  return strategy
}

/** The text of each section of a Markdown file; a section that is missing or empty is a fault. */
function sectionsOf<Name extends string>(
  markdown: string,
  names: readonly Name[],
  file: string,
  faults: string[],
): Record<Name, string> {
  const found = new Map<string, string>()
  for (const part of withoutFencedHeadings(markdown).split(/^## +/m).slice(1)) {
    const [title = '', ...lines] = part.split('\n')
    found.set(title.trim().toLowerCase(), lines.join('\n').replaceAll(FENCED, '#').trim())
  }
  const texts = names.map((name) => {
    const text = found.get(name.toLowerCase()) ?? ''
    if (!text) faults.push(`${file}: the section "## ${name}" is missing or empty`)
    return [name, text] as const
  })
  return Object.fromEntries(texts) as Record<Name, string>
}

/** Stands for a "#" at the beginning of a line inside a code block, which begins no section. */
const FENCED = '\u0000'

const withoutFencedHeadings = (markdown: string): string =>
  markdown
    .replaceAll('\r\n', '\n')
    .replaceAll(FENCED, '')
    .replaceAll(/^```[\s\S]*?^```/gm, (block) => block.replaceAll(/^#/gm, FENCED))

const bulletsOf = (text: string): string[] =>
  text
    .split(/^[-*] +/m)
    .slice(1)
    .map((bullet) => bullet.trim().replaceAll(/\s+/g, ' '))

function pointsOf(text: string, section: string, faults: string[]): Point[] {
  return bulletsOf(text).map((bullet) => {
    const [, code, rest = ''] = /^`([a-z_]+: [^`]+)` *(.*)$/.exec(bullet) ?? []
    if (code === undefined) return { fact: undefined, text: bullet }
    const fact = asFact(code)
    if (!fact)
      faults.push(
        `${section}: "${code}" is no fact that can be checked; "iron-cage strategies check --help" lists them`,
      )
    return { fact, text: rest }
  })
}

function commandOf(text: string, faults: string[]): string[][] {
  const lines = blockOf(text)
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  if (text && lines.length === 0) faults.push('Deploy command: a code block with at least one command is missing')
  return lines.map((line) => line.split(/\s+/))
}

function runInterfaceOf(text: string, faults: string[]): RunInterface {
  try {
    return runInterfaceSchema.parse(JSON.parse(blockOf(text)))
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error).replaceAll('\n', ' ') : (error as Error).message
    if (text) faults.push(`Run interface: ${why}`)
    return { type: 'http', health: '/', call: '/', body: null, output: '', sandbox: 'agent' }
  }
}

/** The first code block of a section. */
const blockOf = (text: string): string => /^```\w*\n([\s\S]*?)^```/m.exec(text)?.[1] ?? ''
