/** `demo --fail`: the failures and their leads, instead of those of `leads.csv`. */
import { CageError } from '../src/core/errors.ts'
import type { Lead } from './world.ts'

/** The triggers of `leads.csv`, by the names of the flag. */
const TRIGGERS = {
  linkedin: 'linkedin_down',
  email: 'pii_email',
  phone: 'pii_phone',
  field: 'missing_field',
} as const

const KINDS = Object.keys(TRIGGERS).join(', ')

/** `failures`: "lead=40:linkedin,lead=70:phone". LinkedIn goes down once, so that moves it. Throws CageError `usage`. */
export function withFailures(leads: readonly Lead[], failures: string): Lead[] {
  const changed = new Map<number, string>()
  for (const failure of failures.split(',')) {
    const [, lead, kind = ''] = /^lead=(\d+):(\w+)$/.exec(failure.trim()) ?? []
    if (!leads.some(({ id }) => id === Number(lead)) || !Object.hasOwn(TRIGGERS, kind)) throw malformed(failure, leads)
    changed.set(Number(lead), TRIGGERS[kind as keyof typeof TRIGGERS])
  }
  const movesLinkedin = [...changed.values()].includes(TRIGGERS.linkedin)
  return leads.map((lead) => {
    const isMoved = movesLinkedin && lead.trigger === TRIGGERS.linkedin
    return { ...lead, trigger: changed.get(lead.id) ?? (isMoved ? 'none' : lead.trigger) }
  })
}

const malformed = (failure: string, leads: readonly Lead[]): CageError =>
  new CageError('usage', `--fail: expected lead=<1 to ${leads.length}>:<${KINDS}>, got "${failure}"`, {
    hint: 'try --fail lead=40:linkedin',
  })
