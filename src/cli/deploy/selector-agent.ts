/**
 * `--selector agent`: a model chooses the strategy and adapts its files. Its changes are shown before anything is
 * written.
 */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseTypedAmount } from '../../config/amount.ts'
import type { LoadedConfig } from '../../config/config.ts'
import { CageError } from '../../core/errors.ts'
import type { Judgment } from '../../deploy/choice.ts'
import type { AgentFacts } from '../../deploy/facts.ts'
import { holdsSecret, type Plan } from '../../deploy/plan.ts'
import {
  adaptationQuestion,
  diffLines,
  MAX_SOURCE_CHARS,
  readAdaptation,
  readSelection,
  selectionQuestion,
} from '../../deploy/selector.ts'
import type { Terminal } from '../output/terminal.ts'
import { type Ask, withModel } from './ask-model.ts'

/** A model's choice and changes. */
export interface Adapted {
  /** Why this strategy; null when it was named or is the only one. */
  reason: string | null
  /** Each changed file before and after, for people; empty when it changed nothing. */
  diff: readonly string[]
}

interface Task<Prepared> {
  loaded: LoadedConfig
  agent: AgentFacts
  judgments: readonly Judgment[]
  /** The strategy that was asked for by name. */
  named: Judgment | undefined
  planWith: (chosen: Judgment) => Promise<Prepared>
}

/** Throws what `withModel` and `planWith` throw, and CageError `bad_request` for a source that cannot be sent. */
export function adaptWithModel<Prepared extends { plan: Plan }>(
  { loaded, agent, judgments, named, planWith }: Task<Prepared>,
  choice: { model: string; budget: string },
  terminal: Terminal,
): Promise<Prepared & { adapted: Adapted }> {
  const source = sourceToSend(agent.script)
  const budget = parseTypedAmount(choice.budget, '--selector-budget')
  return withModel({ model: choice.model, budget }, loaded, terminal, async (ask) => {
    const { chosen, reason } = named ? { chosen: named, reason: null } : await select(agent, judgments, source, ask)
    const prepared = await planWith(chosen)
    const { plan } = prepared
    const changes = readAdaptation(await ask(adaptationQuestion(agent, source, plan)), plan)
    const diff = [...changes].flatMap(([path, content]) =>
      diffLines(path, contentOf(path, plan, agent.folder), content),
    )
    const files = new Map([...plan.files, ...changes])
    return { ...prepared, plan: { ...plan, files }, adapted: { reason, diff } }
  })
}

/** A missing condition on this machine rules a strategy out, for a model too. */
async function select(agent: AgentFacts, judgments: readonly Judgment[], source: string, ask: Ask) {
  const candidates = judgments.filter(({ missing }) => missing.length === 0)
  const [only, ...others] = candidates
  if (!only) throw new CageError('bad_request', 'no strategy is possible here')
  if (others.length === 0) return { chosen: only, reason: null }
  return readSelection(await ask(selectionQuestion(agent, source, candidates)), candidates)
}

/** Throws CageError `bad_request` for a source with a secret, or one that is too long. */
function sourceToSend(script: string): string {
  const source = readFileSync(script, 'utf8')
  if (source.length > MAX_SOURCE_CHARS) {
    throw new CageError('bad_request', `${basename(script)} has more than ${MAX_SOURCE_CHARS} characters`, {
      hint: 'name a strategy with --strategy, without --selector agent',
    })
  }
  if (holdsSecret(source)) {
    throw new CageError('bad_request', `${basename(script)}: a secret in the file would be sent to the model`, {
      hint: 'put it into the vault: iron-cage secrets set <NAME>',
    })
  }
  return source
}

/** The file that would be written without the change. */
function contentOf(path: string, { files, agentFiles }: Plan, source: string): string | undefined {
  const own = path.replace(/^agent\//, '')
  return own !== path && agentFiles.includes(own) ? readFileSync(`${source}/${own}`, 'utf8') : files.get(path)
}

/** Asks whether the changes are to be written. Throws CageError `usage` unless the answer is yes. */
export async function confirm({ diff }: Adapted, terminal: Terminal): Promise<void> {
  if (diff.length === 0) return
  if (terminal.inputIsTerminal) {
    terminal.err('Write these changes and deploy? (y/N)')
    for await (const chunk of terminal.input) {
      if (/^y(es)?\s*$/i.test(Buffer.from(chunk).toString())) return
      break
    }
  }
  throw new CageError('usage', 'nothing was written and nothing deployed', {
    hint: 'agree to the changes with --yes, or deploy without --selector agent',
  })
}
