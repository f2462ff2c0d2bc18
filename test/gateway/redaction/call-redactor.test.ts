/** Frames whose long texts were redacted on another thread. */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Piece } from '../../../src/dialects/dialect.ts'
import { Cuts, cutTexts, newMark } from '../../../src/gateway/bodies/cut-texts.ts'
import { redactLongTexts } from '../../../src/gateway/bodies/long-texts.ts'
import type { RedactedCall } from '../../../src/gateway/redaction/call-findings.ts'
import { CallRedactor } from '../../../src/gateway/redaction/call-redactor.ts'
import { SealedOriginals } from '../../../src/gateway/redaction/sealed-originals.ts'
import { DEFAULT_POLICY, type Policy } from '../../../src/redaction/policy.ts'
import { Redactor } from '../../../src/redaction/redactor.ts'
import type { Finding } from '../../../src/redaction/text/match.ts'

const PAD = 'x '.repeat(50_000)
const EMAIL = 'jane.canary@northwind-traders.com'
const NO_FIELDS = { names: new Set<string>(), opaque: {}, tools: new Set<string>() }
/** Only the text that the redactor passes on. */
const CALL = { id: null, caller: { agentId: 'w-1', runId: null } } as unknown as RedactedCall

function open(policy: Policy = DEFAULT_POLICY, known: string[] = []) {
  const incidents = { recordAll: () => undefined, newInRequest: (findings: readonly Finding[]) => [...findings] }
  const originals = new SealedOriginals(randomBytes(32).toString('base64'))
  return new CallRedactor(
    { redactor: Redactor.of({ policy, known: known.map((value) => ({ value })) }), incidents, originals },
    CALL,
  )
}

/** As another thread redacts and cuts it. */
function cleanedText(text: string, policy: Policy = DEFAULT_POLICY, known: string[] = []) {
  const thread = open(policy, known)
  const mark = newMark()
  const { data, cuts } = cutTexts(
    JSON.stringify({ value: text }),
    redactLongTexts(thread, { value: text }, NO_FIELDS),
    mark,
  )
  return { text: JSON.parse(data).value as string, cuts: new Cuts(mark, cuts), found: thread.findings.found() }
}

/** As its client reads it. */
async function writtenText(text: string, cuts: Cuts): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of cuts.piecesOf(JSON.stringify(text))) pieces.push(Buffer.from(piece))
  return JSON.parse(Buffer.concat(pieces).toString())
}

async function writtenPieces(pieces: readonly [Piece, Cuts][]): Promise<string> {
  let written = ''
  for (const [{ safe }, cuts] of pieces) written += await writtenText(safe!, cuts)
  return written
}

test('a finding at the end of a long text is left to the reader of the next text, and all others are redacted', async () => {
  const { text, cuts, found } = cleanedText(`${EMAIL} ${PAD}${EMAIL}`)
  expect(text.length).toBeLessThan(40_000)
  expect((await writtenText(text, cuts)) === `[EMAIL_REDACTED] ${PAD}${EMAIL}`).toBe(true)
  expect(found.count).toBe(1)
})

test('short texts stay as they are', () => {
  const text = `${EMAIL} is short`
  expect(cleanedText(text)).toMatchObject({ text, found: { count: 0 } })
})

test('a text that is neither short nor long is redacted whole, unless its findings stay in it', () => {
  const words = 'Grass grows. '.repeat(60)
  const text = `${words}${EMAIL} ${words}`
  expect(cleanedText(text)).toMatchObject({ text: `${words}[EMAIL_REDACTED] ${words}`, found: { count: 1 } })
  const warning = { ...DEFAULT_POLICY, mode: 'warn' as const }
  expect(cleanedText(text, warning)).toMatchObject({ text, found: { count: 0 } })
})

test.each(['whole', 'again'] as const)('a text that is complete is redacted to its end (%s)', async (how) => {
  const { text, cuts, found } = cleanedText(`${EMAIL} ${PAD}${EMAIL}`)
  const redactor = open()
  const safe = await redactor.cleaned(found, cuts, () => redactor[how](text, 'reply'))
  expect((await writtenText(safe, cuts)) === `[EMAIL_REDACTED] ${PAD}[EMAIL_REDACTED]`).toBe(true)
})

test('a text that continues is redacted over the border, and its findings are counted once', async () => {
  const { text, cuts, found } = cleanedText(`${EMAIL} ${PAD}${EMAIL}`)
  const redactor = open()
  const first = await redactor.cleaned(found, cuts, () => redactor.push('channel', text, 'reply'))
  expect(first.safe).toBeUndefined()
  const rest = redactor.push('channel', '.au is mine', 'reply')
  redactor.end('channel')
  expect(
    (await writtenText(first.safe! + rest.safe!, cuts)) === `[EMAIL_REDACTED] ${PAD}[EMAIL_REDACTED] is mine`,
  ).toBe(true)
  expect(redactor.findings.count).toBe(2)
  expect(first.safe!.length + redactor.cutCharacters > PAD.length).toBe(true)
})

const KEY = `abcdEFGH1234${'wxyz5678IJKL'.repeat(300)}`

test.each([
  ['a known value', 1_500, [KEY], (rest: string) => rest],
  ['a private key', 1_500, [], (rest: string) => `${rest}\n-----END PRIVATE KEY-----`],
])(
  '%s that begins in one long text is followed through the next, of which no more is read',
  async (_what, length, known, end) => {
    const begun = known.length > 0 ? KEY : `-----BEGIN PRIVATE KEY-----\n${KEY}`
    const texts = [`${PAD}${begun.slice(0, length)}`, `${end(begun.slice(length))} and ${'Grass grows. '.repeat(400)}`]
    const redactor = open(DEFAULT_POLICY, known)
    const pieces: [Piece, Cuts][] = []
    for (const text of texts) {
      const { text: data, cuts, found } = cleanedText(text, DEFAULT_POLICY, known)
      expect(cuts.isIn(data)).toBe(true)
      pieces.push([await redactor.cleaned(found, cuts, () => redactor.push('channel', data, 'reply')), cuts])
    }
    redactor.end('channel')
    expect((await writtenPieces(pieces)) === `${PAD}[SECRET_REDACTED] and ${'Grass grows. '.repeat(400)}`).toBe(true)
  },
)

test('a long text that follows another is read as far as it may continue the one before', async () => {
  const number = '4111 1111 1111 1112 '
  const text = number.repeat(500)
  const redactor = open()
  const pieces: [Piece, Cuts][] = []
  for (const piece of ['I count: ', text, text]) {
    const { text: data, cuts, found } = cleanedText(piece)
    pieces.push([await redactor.cleaned(found, cuts, () => redactor.push('channel', data, 'reply')), cuts])
  }
  redactor.end('channel')
  expect((await writtenPieces(pieces)) === `I count: ${text}${text}`).toBe(true)
})

const LEAF = { kind: 'text', place: 'reply', label: undefined } as const
const tooLarge = expect.objectContaining({ code: 'reply_too_large' })

test('the texts of one frame, those that have not ended and the places that are remembered have bounds', () => {
  const inFrame = open()
  for (let text = 0; text < 4_096; text++) inFrame.next('same', `word ${text}`, LEAF)
  expect(() => inFrame.next('same', 'one more', LEAF)).toThrow(tooLarge)
  inFrame.startFrame()
  inFrame.next('same', 'one more', LEAF)

  const unended = open()
  for (let text = 0; text < 1_024; text++) unended.push(`text ${text}`, 'a', 'reply')
  expect(() => unended.push('text 1024', 'a', 'reply')).toThrow(tooLarge)
  unended.end('text 0')
  unended.push('text 1024', 'a', 'reply')

  const everywhere = open()
  for (let place = 0; place < 65_536; place++) {
    if (place % 4_096 === 0) everywhere.startFrame()
    everywhere.began(`place ${place}`, 'a')
  }
  expect(() => everywhere.began('place 65536', 'a')).toThrow(tooLarge)
})
