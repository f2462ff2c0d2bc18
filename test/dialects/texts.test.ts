import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Json } from '../../src/dialects/json.ts'
import {
  changeTexts,
  type Fields,
  type Leaf,
  pathOf,
  type Step,
  TextWalk,
  withValueAt,
} from '../../src/dialects/texts.ts'

const PNG = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(60)]).toString('base64')
/** As a provider makes it: in no field that the dialect knows. */
const SIGNATURE = createHash('sha512').update('signed').digest('base64').replaceAll('=', '')
const SEAL = Buffer.alloc(64, 'seal').toString('base64')

const fields: Fields = {
  names: new Set(['id', 'content', 'type', 'text', 'data', 'signature', 'thinking', 'arguments']),
  opaque: { id: 'word', signature: 'sealed', data: 'sealed', url: 'media' },
  tools: new Set(['arguments']),
}

/** Every text with where it stands. */
function looked(value: Json, more: Partial<Fields> = {}): [text: string, leaf: Leaf][] {
  const seen: [string, Leaf][] = []
  const text = (one: string, leaf: Leaf) => {
    seen.push([one, leaf])
    return one
  }
  const walk = new TextWalk({ ...fields, ...more }, { text })
  expect(walk.change(value)).toBe(value)
  return seen
}

const kindsOf = (value: Json) => looked(value).map(([text, { kind }]) => [text, kind])

describe('texts of a reply', () => {
  test('every string, every number with enough digits, and every name outside the dialect is a text', () => {
    expect(kindsOf({ content: 'a', made_up: ['b', { deeper: 4_155_550_123 }], text: '', id: 7 })).toEqual([
      ['a', 'text'],
      ['made_up', 'name'],
      ['b', 'text'],
      ['deeper', 'name'],
      ['4155550123', 'number'],
    ])
  })

  test('a list of bytes is read as the text it encodes', () => {
    expect(kindsOf({ content: [...Buffer.from('a@b.co')] })).toEqual([['a@b.co', 'bytes']])
    expect(kindsOf({ content: [1, 2, 3] })).toEqual([])
    expect(kindsOf({ content: [0.25, -1, 300, 2, 3, 4, 5] })).toEqual([])
  })

  test.each([
    [{ id: 'call_a1-b2.c:3' }, 'word'],
    [{ id: 'two words' }, 'text'],
    [{ id: 'jane@example.com' }, 'text'],
    [{ id: 'x'.repeat(257) }, 'text'],
    [{ signature: SEAL }, 'blob'],
    [{ signature: 'short' }, 'text'],
    [{ signature: `${SEAL} jane@example.com` }, 'text'],
    [{ data: 'A'.repeat(63) }, 'text'],
    [{ url: PNG }, 'blob'],
    [{ url: `data:image/png;base64,${PNG}` }, 'blob'],
    [{ url: `https://example.com/${PNG}` }, 'text'],
    [{ url: Buffer.alloc(90, 'no image').toString('base64') }, 'text'],
    [{ made_up: { thought_signature: SIGNATURE } }, 'blob'],
    [{ made_up: SIGNATURE.slice(0, 63) }, 'text'],
    [{ made_up: `${SIGNATURE.slice(1)}@example.com` }, 'text'],
    [{ made_up: '4111111111111111'.repeat(4) }, 'text'],
    [{ content: SIGNATURE }, 'text'],
    [{ arguments: { made_up: SIGNATURE } }, 'text'],
    [{ data: `4111-1111-1111-1111_${SEAL}` }, 'text'],
    [{ made_up: `${SIGNATURE}+415/555/0132` }, 'text'],
    // The input of a tool has names that users choose.
    [{ content: { arguments: { data: SEAL } } }, 'text'],
    [{ content: { arguments: { to: { url: PNG } } } }, 'text'],
    [{ content: { arguments: { id: 'call_a1' } } }, 'word'],
    [{ content: [{ arguments: {} }, { data: SEAL }] }, 'blob'],
    // At the top of a request it may be the conversation.
    [{ arguments: [{ data: SEAL }] }, 'blob'],
  ])('a text is no prose only while it has the shape of an id or a blob: %j is %s', (value, kind) => {
    expect(
      looked(value)
        .map(([, leaf]) => leaf.kind)
        .at(-1),
    ).toBe(kind)
  })

  test('a text carries the name of its field if the name can be a label, and marks tool arguments', () => {
    expect(
      looked({ phone: '1', content: '2', arguments: { to: '3' } }).filter(([, { kind }]) => kind === 'text'),
    ).toEqual([
      ['1', { kind: 'text', place: 'reply', label: 'phone' }],
      ['2', { kind: 'text', place: 'reply', label: undefined }],
      ['3', { kind: 'text', place: 'tool_arguments', label: 'to' }],
    ])
  })

  test('a signed object holds no prose, and one that only claims a signature does', () => {
    const signed = new Set(['thinking'])
    const kindOf = (signature: string) =>
      looked({ type: 'thinking', thinking: 'a thought', signature }, { signed }).find(
        ([text]) => text === 'a thought',
      )![1].kind
    expect(kindOf(SEAL)).toBe('blob')
    expect(kindOf('s')).toBe('text')
    const given = { arguments: { type: 'thinking', thinking: 'a thought', signature: SEAL } }
    expect(looked({ content: given }, { signed }).find(([text]) => text === 'a thought')![1].kind).toBe('text')
  })
})

describe('redacted texts of a reply', () => {
  const mask = (text: string) => text.replaceAll(/secret\d*/g, 'X')

  test('redaction changes the text alone, and everything else stays the same value', () => {
    const value = { a: ['x', { b: 'the secret' }], c: { d: 1 } }
    const safe = changeTexts(value, mask)
    expect(safe).toEqual({ a: ['x', { b: 'the X' }], c: { d: 1 } })
    expect(safe.c).toBe(value.c)
  })

  test('redaction changes names too, and numbers two that become the same', () => {
    expect(changeTexts({ secret1: 1, secret2: 2, other: 3 } as Json, mask)).toEqual({ X: 1, X_2: 2, other: 3 })
    expect(changeTexts({ secret1: 1, secret2: 2, X_2: 3, secret3: 4 } as Json, mask)).toEqual({
      X: 1,
      X_2: 2,
      X_2_2: 3,
      X_3: 4,
    })
  })

  test('redaction changes a number whose digits are found, and a list whose bytes are', () => {
    const digits = (text: string) => (text === '4155550123' ? '[PHONE]' : mask(text))
    expect(changeTexts({ n: 4_155_550_123 } as Json, digits)).toEqual({ n: '[PHONE]' })
    expect(changeTexts([...Buffer.from('a secret')] as Json, mask)).toEqual([...Buffer.from('a X')])
    const numbered = (text: string) => Object.fromEntries(Buffer.from(text).entries())
    expect(changeTexts(numbered('a secret') as Json, mask)).toEqual(numbered('a X'))
  })

  test('redaction keeps a field called __proto__ a field', () => {
    const value = JSON.parse('{"__proto__":"secret","a":1}') as Json
    expect(JSON.stringify(changeTexts(value, mask))).toBe('{"__proto__":"X","a":1}')
  })

  test('redaction refuses a value that is nested too deeply', () => {
    let deep: Json = 'secret'
    for (let level = 0; level < 600; level++) deep = [deep]
    expect(() => changeTexts(deep, mask)).toThrow(RangeError)
  })
})

test('a value takes the place of another one where it stands', () => {
  const call = { index: 1, id: 'x', arguments: 'old' }
  const value = { delta: { tool_calls: [call] }, other: {} }
  const steps: Step[] = ['delta', 'tool_calls', { position: 0, index: 1 }, 'arguments']
  const changed = withValueAt(value, steps, 'new') as typeof value
  expect(changed).toEqual({ delta: { tool_calls: [{ ...call, arguments: 'new' }] }, other: {} })
  expect(changed.other).toBe(value.other)
  expect(pathOf(steps)).toBe('delta/tool_calls/#1/arguments')
})
