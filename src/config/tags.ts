/** Tags: groups of an agent's cost in reports, such as a customer or a project. */
import * as z from 'zod'
import { CageError } from '../core/errors.ts'

/** Values by name. */
export type Tags = Readonly<Record<string, string>>

export const MAX_TAGS = 10
const nameExpected = 'a name of up to 40 lowercase letters, digits, "_", "-" or "." that begins with a letter'
const valueExpected = 'a value of up to 80 letters, digits, spaces or ". _ : / + -" that begins with a letter or digit'
const NAME = z.string().regex(/^[a-z][a-z0-9_.-]{0,39}$/, { error: nameExpected })
const VALUE = z
  .string({ error: valueExpected })
  .regex(/^[\p{L}\p{N}][\p{L}\p{N} ._:/+-]{0,79}$/u, { error: valueExpected })

export const tagsSchema = z
  .record(NAME, VALUE)
  .refine((tags) => Object.keys(tags).length <= MAX_TAGS, { error: `at most ${MAX_TAGS} tags` })

/** Reads the value of `--tag customer=acme,project=x`. Throws CageError `usage`. */
export function parseTags(text: string): Tags {
  const tags = new Map<string, string>()
  for (const word of text.split(',')) {
    const [name = '', ...value] = word.split('=')
    if (tags.has(name)) throw wrong(`"${name}" was given more than once`)
    tags.set(name, value.join('='))
  }
  const { data, error } = tagsSchema.safeParse(Object.fromEntries(tags))
  if (!data) throw wrong(`expected ${expectedOf(error.issues[0]!)}`)
  return data
}

/** An invalid key has its own issue inside. */
const expectedOf = (issue: z.core.$ZodIssue): string =>
  issue.code === 'invalid_key' ? expectedOf(issue.issues[0]!) : issue.message

const wrong = (why: string): CageError => new CageError('usage', `--tag: ${why}`, { hint: 'try --tag customer=acme' })
