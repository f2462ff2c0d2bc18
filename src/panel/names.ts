/**
 * What people call a machine, a team, a user, a token or a webhook is shown on terminals and pages, and is part of addresses.
 * So no name holds control characters, or those that reverse the direction of text, and none is "." or "..", which an
 * address cannot hold. Every text of a request is a name, unless it is listed here.
 */
import { CageError } from '../core/errors.ts'
import { printable } from '../log/printable.ts'

const SECRETS = ['password', 'secret', 'answer', 'value']
/** Sentences of people and machines. */
const SENTENCES = ['reason', 'message']
/** Agents and tokens have the names that their machines give them: reports about them are stored with any content. */
const REPORTED = ['agent', 'agent_id', 'token']
const NO_NAMES: ReadonlySet<string> = new Set([...SECRETS, ...SENTENCES, ...REPORTED])

/** Throws CageError `bad_request` that names the field. */
export function requireNames(said: unknown): void {
  if (typeof said !== 'object' || said === null) return
  for (const [field, name] of Object.entries(said)) {
    if (NO_NAMES.has(field) || typeof name !== 'string') continue
    if (printable(name) !== name || name.includes('\t')) {
      throw new CageError('bad_request', `${field}: a name may not hold line breaks or control characters`, {
        hint: 'choose a name of letters, digits, signs and spaces',
      })
    }
    if (name === '.' || name === '..') {
      throw new CageError('bad_request', `${field}: "${name}" is not a name`, { hint: 'choose another name' })
    }
  }
}
