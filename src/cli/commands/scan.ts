import { createReadStream, statSync } from 'node:fs'
import { CageError } from '../../core/errors.ts'
import { findPii, toSpans } from '../../redaction/redactor.ts'
import type { PiiSpan } from '../../redaction/text/match.ts'
import { type CliCommand, command, STDIN } from '../command.ts'
import { json, jsonLine, table } from '../output/print.ts'
import type { Terminal } from '../output/terminal.ts'

/** A finding with its position for people: line and column from 1. */
interface Located extends PiiSpan {
  source: string
  line: number
  column: number
}

export const scanCommand: CliCommand = (terminal) =>
  command({
    command: 'scan [files..]',
    describe: 'Find personal data and secrets in texts; exits 1 when there are any',
    builder: (yargs) =>
      yargs
        .positional('files', { type: 'string', array: true, default: [], describe: 'Files; - is standard input' })
        .option('text', { type: 'string', requiresArg: true, describe: 'A text instead of files' })
        .option('jsonl', {
          type: 'boolean',
          describe: 'Read {"text"} lines, write one {"spans"} line for each, exit 0',
        })
        .conflicts('jsonl', ['json', 'text'])
        .option('json', { type: 'boolean', describe: 'Print the findings as JSON' })
        .example([
          ['$0 scan --text "Contact ceo@example.com"', 'EMAIL, HIGH'],
          ['$0 scan --jsonl < records.jsonl', 'spans of each record'],
        ]),
    handler: async ({ files: before, '--': after = [], text, jsonl, json: asJson }) => {
      const files = [...before, ...(after as string[])]
      if (text !== undefined && files.length > 0) {
        throw new CageError('usage', 'scan takes files or --text, not both', { hint: 'iron-cage scan --help' })
      }
      if (text === undefined && files.length === 0 && terminal.inputIsTerminal) {
        throw new CageError('usage', 'scan needs a file, - or --text', { hint: 'iron-cage scan --help' })
      }
      const sources = files.length > 0 ? files : [STDIN]
      if (jsonl) return printSpans(sources, terminal)
      const findings = text === undefined ? await locateAll(sources, terminal) : locate('text', text)
      if (asJson) terminal.out(json({ findings }))
      else {
        for (const line of table(findings.map(row))) terminal.out(line)
        terminal.err(findings.length === 0 ? 'nothing found' : `${findings.length} found`)
      }
      terminal.exitCode = findings.length > 0 ? 1 : 0
    },
  })

async function printSpans(sources: readonly string[], terminal: Terminal): Promise<void> {
  for (const source of sources) {
    for await (const line of spanLines(open(source, terminal), source)) terminal.out(line)
  }
}

async function locateAll(sources: readonly string[], terminal: Terminal): Promise<Located[]> {
  const findings: Located[] = []
  for (const source of sources) {
    const text = await readInput(open(source, terminal), source)
    findings.push(...locate(nameOf(source), text))
  }
  return findings
}

const open = (source: string, { input }: Terminal): AsyncIterable<Uint8Array> =>
  source === STDIN ? input : openFile(source)

const nameOf = (source: string): string => (source === STDIN ? 'stdin' : source)

/** The most that is read of one source, or of one line with --jsonl: a device never ends. */
const MAX_BYTES = 64 * 1024 * 1024

/** Type, risk and position; never the value. */
const row = ({ type, risk, source, line, column, start, end }: Located): string[] => [
  type.toUpperCase(),
  risk,
  `${source}:${line}:${column}`,
  `${end - start} characters`,
]

function locate(source: string, text: string): Located[] {
  let line = 1
  let lineStart = 0
  let at = 0
  return findPii(text).map((span) => {
    for (let next = text.indexOf('\n', at); next !== -1 && next < span.start; next = text.indexOf('\n', at)) {
      line++
      lineStart = at = next + 1
    }
    return { source, ...span, line, column: span.start - lineStart + 1 }
  })
}

function openFile(path: string): AsyncIterable<Uint8Array> {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found) throw new CageError('not_found', `there is no file ${path}`, { hint: 'check the path' })
  if (found.isDirectory()) throw new CageError('usage', `${path} is a folder`, { hint: 'name the files in it' })
  return createReadStream(path)
}

async function readInput(input: AsyncIterable<Uint8Array>, source: string): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of input) {
      bytes += chunk.length
      if (bytes > MAX_BYTES) throw tooLarge(source, 'cut it into smaller pieces')
      chunks.push(chunk)
    }
  } catch (error) {
    throw unreadable(source, error)
  }
  return Buffer.concat(chunks).toString('utf8')
}

async function* spanLines(input: AsyncIterable<Uint8Array>, source: string): AsyncGenerator<string> {
  let number = 0
  for await (const line of linesOf(input, source)) {
    number++
    if (line.trim() === '') continue
    yield jsonLine(toSpans(textOf(line, `${nameOf(source)}:${number}`)))
  }
}

/** Not node:readline: it ends a line at U+2028, which JSON may contain. */
async function* linesOf(input: AsyncIterable<Uint8Array>, source: string): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  // The line that has not ended, in pieces: joined with each chunk, a long one would be copied again and again.
  let pieces: string[] = []
  let length = 0
  try {
    for await (const chunk of input) {
      const [piece, ...lines] = decoder.decode(chunk, { stream: true }).split('\n')
      pieces.push(piece!)
      length += piece!.length
      if (length > MAX_BYTES) throw tooLarge(source, 'give one JSON object a line')
      const rest = lines.pop()
      if (rest === undefined) continue
      yield pieces.join('')
      yield* lines
      pieces = [rest]
      length = rest.length
    }
  } catch (error) {
    throw unreadable(source, error)
  }
  if (length > 0) yield pieces.join('')
}

function textOf(line: string, place: string): string {
  let record: unknown
  try {
    record = JSON.parse(line)
  } catch {
    record = undefined
  }
  const text = (record as { text?: unknown } | null | undefined)?.text
  if (typeof text === 'string') return text
  throw new CageError('bad_request', `${place}: expected a line such as {"text": "…"}`, { hint: 'correct that line' })
}

const tooLarge = (source: string, hint: string): CageError =>
  new CageError('usage', `${source} has more than ${MAX_BYTES / 1024 / 1024} MiB at once`, { hint })

const unreadable = (source: string, error: unknown): CageError =>
  error instanceof CageError
    ? error
    : new CageError('usage', `cannot read ${source}: ${(error as Error).message}`, {
        cause: error,
        hint: 'check the path and its permissions',
      })
