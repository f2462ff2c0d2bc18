/**
 * Measures the redactor on labelled text: `npm run score:pii -- <folder>`.
 * The folder brings dev.jsonl and hard_dev.jsonl with score.mjs, tokens_dev.jsonl with stream_check.mjs, and bench_1mb.txt.
 * Prints their tables and the speed; exits 1 when quality is below the floor. Speed is printed only: it is the machine's too.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { DEFAULT_POLICY } from '../src/redaction/policy.ts'
import { findPii, Redactor, toSpans } from '../src/redaction/redactor.ts'

const CORE = ['email', 'phone', 'ssn']
const ALL = [...CORE, 'credit_card', 'iban', 'ip', 'secret']
const TYPES = ALL.map((type) => type.toUpperCase()).join()

/** For each set: rows of the table, and what F1 and leaking must be at least and at most. */
const SETS = [
  {
    file: 'dev.jsonl',
    floor: { 'CORE(micro)': 0.993, CREDIT_CARD: 0.99, IBAN: 0.99, IP: 0.99, SECRET: 0.95 },
    leak: 0.01,
    overRedacted: 8,
  },
  { file: 'hard_dev.jsonl', floor: { 'CORE(micro)': 0.95 }, leak: 0.1, overRedacted: 8 },
]

const HOSTILE = [
  'a@',
  'a.',
  '7',
  '1 ',
  '1.',
  '1-',
  '415-',
  '(1',
  '+1',
  '0044 ',
  '4111 ',
  'DE12 ',
  '12:',
  '1::',
  '((',
  '[[',
  ']',
  '-',
]
  .concat([
    '%40',
    'a%40',
    'a&#64;',
    'a\\u0040',
    'eyJ',
    'sk-',
    '-----BEGIN ',
    '://a:',
    '1\u200b',
    'a at b dot ',
    'a(at)',
  ])
  .concat([`${'a'.repeat(95)}@`, `@${'a.'.repeat(99)}`])

const folder = process.argv[2]
if (!folder) {
  console.error('usage: npm run score:pii -- <folder with labelled text>')
  process.exit(2)
}

const scratch = mkdtempSync(join(tmpdir(), 'score-pii-'))
try {
  const misses = SETS.flatMap((set) => scoreSet(set))
  checkStreams()
  measureSpeed(readFileSync(join(folder, 'bench_1mb.txt'), 'utf8'))
  for (const miss of misses) console.log(`below the floor: ${miss}`)
  process.exitCode = misses.length > 0 ? 1 : 0
} finally {
  rmSync(scratch, { recursive: true })
}

function scoreSet({ file, floor, leak, overRedacted }) {
  const gold = resolve(folder, file)
  const found = join(scratch, file)
  const records = readFileSync(gold, 'utf8').split('\n').filter(Boolean)
  writeFileSync(found, records.map((record) => `${JSON.stringify(toSpans(JSON.parse(record).text))}\n`).join(''))
  const score = (...options) => run('score.mjs', gold, found, '--types', TYPES, ...options)
  process.stdout.write(score())
  const { rows, overred_per_10k } = JSON.parse(score('--json'))
  const misses = Object.entries(floor)
    .filter(([row, least]) => rows[row].F1 < least)
    .map(([row, least]) => `${file} ${row}: F1 ${rows[row].F1.toFixed(4)}, at least ${least}`)
  if (rows['ANY(type-free)'].leak > leak) misses.push(`${file}: leak ${rows['ANY(type-free)'].leak}, at most ${leak}`)
  if (overred_per_10k > overRedacted)
    misses.push(`${file}: ${overred_per_10k} characters in 10,000, at most ${overRedacted}`)
  return misses
}

function checkStreams() {
  const module = join(scratch, 'redactor.mjs')
  writeFileSync(
    module,
    `import { Redactor } from ${JSON.stringify(new URL('../src/redaction/redactor.ts', import.meta.url).href)}
     const redactor = new Redactor(${JSON.stringify({ ...DEFAULT_POLICY, detect: ALL })})
     export const whole = (text) => redactor.redact(text).text
     export const stream = () => redactor.stream()`,
  )
  console.log('\n== streams')
  process.stdout.write(run('stream_check.mjs', module))
}

function run(script, ...parameters) {
  return execFileSync(process.execPath, [resolve(folder, script), ...parameters], { encoding: 'utf8' })
}

function measureSpeed(text) {
  const messages = []
  // Copies, so that no message is a slice that shares the memory of the whole.
  for (let i = 0; i < text.length; i += 2000) messages.push(Buffer.from(text.slice(i, i + 2000)).toString())
  const megabytes = Buffer.byteLength(text) / 1e6
  console.log('\n== speed, 2 kB messages, best of 40')
  for (const [name, detect] of [
    ['core types', CORE],
    ['all types', ALL],
  ]) {
    const redactor = new Redactor({ ...DEFAULT_POLICY, detect })
    const finding = best(40, () => messages.forEach((message) => void findPii(message, detect)))
    const redacting = best(40, () => messages.forEach((message) => void redactor.redact(message)))
    const rate = (milliseconds) => `${((megabytes / milliseconds) * 1000).toFixed(0)} MB/s`
    console.log(`${name.padEnd(12)} find ${rate(finding)}, redact ${rate(redacting)}`)
  }
  const ordinary = best(10, () => findPii(text))
  console.log(`\n== 1 MB of hostile text, beside ${ordinary.toFixed(1)} ms for the ordinary 1 MB`)
  for (const piece of HOSTILE) {
    const once = piece.repeat(1e6 / piece.length)
    const twice = once + once
    const time = best(3, () => findPii(once))
    const doubled = best(3, () => findPii(twice))
    const times = (a, b) => `${(a / b).toFixed(1)} ×`
    console.log(
      `${JSON.stringify(piece).slice(0, 30).padEnd(32)} ${times(time, ordinary)}, twice as long ${times(doubled, time)}`,
    )
  }
}

function best(times, work) {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < times; i++) {
    const begin = performance.now()
    work()
    least = Math.min(least, performance.now() - begin)
  }
  return least
}
