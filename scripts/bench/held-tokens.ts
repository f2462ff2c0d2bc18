/**
 * `node scripts/bench/held-tokens.ts`: how long the redactor holds back a model's text, token by token, as gpt-4o
 * splits texts (o200k). A token waits while it may be a part of personal data: a word may be the name in an address
 * whose "@" follows, and leaves with the next token, which begins with a space.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { decode, encode } from 'gpt-tokenizer/encoding/o200k_base'
import { DEFAULT_POLICY } from '../../src/redaction/policy.ts'
import { Redactor } from '../../src/redaction/redactor.ts'
import { quantile } from './figures.ts'

const file = (name: string): string =>
  readFileSync(resolve(import.meta.dirname, '../..', name), 'utf8').slice(0, 40_000)
const rows = JSON.stringify(
  Array.from({ length: 400 }, (_, id) => ({ id, name: `lead ${id}`, score: id * 7, ok: true })),
)
const TEXTS: Record<string, string> = {
  prose: file('docs/security.md'),
  'a program': file('src/gateway/replies/stream.ts') + file('src/budget/ledger.ts'),
  'JSON of small numbers': rows,
  'a table': file('docs/client-matrix.md'),
}

console.log('| text | tokens | leave at once | with the next | later | held back p50, p99 (characters) |')
console.log('|---|---|---|---|---|---|')
for (const [name, text] of Object.entries(TEXTS)) {
  const stream = new Redactor(DEFAULT_POLICY).stream()
  const tokens = encode(text).map((token) => decode([token]))
  const waits = [0, 0, 0]
  const held: number[] = []
  /** Characters up to the end of each token that has not left yet. */
  const open: { end: number; after: number }[] = []
  let received = 0
  for (const [index, token] of tokens.entries()) {
    received += token.length
    open.push({ end: received, after: index })
    stream.push(token)
    held.push(stream.heldBack.length)
    while (open[0] && open[0].end <= received - stream.heldBack.length) {
      const wait = Math.min(2, index - open.shift()!.after)
      waits[wait] = waits[wait]! + 1
    }
  }
  const share = (count: number) => `${((count / tokens.length) * 100).toFixed(1)} %`
  console.log(
    `| ${[name, tokens.length, ...waits.map((count) => share(count)), `${quantile(held, 0.5)}, ${quantile(held, 0.99)}`].join(' | ')} |`,
  )
}
