import { expect, test } from 'vitest'
import { requireNames } from '../../src/panel/names.ts'
import fc from '../support/fast-check.ts'

const TEXTS = ['password', 'secret', 'answer', 'value', 'reason', 'message', 'agent', 'agent_id', 'token']
const odd = fc.constantFrom('a\nb', 'a\u001b[31mb', 'a\tb', 'a\u0085b', 'a\u202eb', 'a\u2028b', '.', '..')

test('a text of any field is refused with characters that do not show, except the texts that are no names', () => {
  const field = fc.string({ minLength: 1 }).filter((name) => !TEXTS.includes(name) && name !== '__proto__')
  fc.assert(
    fc.property(field, odd, (name, text) => {
      expect(() => requireNames({ [name]: text })).toThrow(expect.objectContaining({ code: 'bad_request' }))
    }),
  )
  for (const name of TEXTS) expect(() => requireNames({ [name]: 'a\nb' })).not.toThrow()
})

test('a visible text, and any value that is not a text, is accepted in any field', () => {
  const shown = fc.constantFrom('ann', 'Ann von Böhm', '…', 'a.b', '日本', 1, true, null, ['a\nb'])
  fc.assert(fc.property(fc.string({ minLength: 1 }), shown, (name, value) => requireNames({ [name]: value })))
})
