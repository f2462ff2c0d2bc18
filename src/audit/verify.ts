/** Verifies the chain and finds the first row that is not as it was written. */
import type { KeyObject } from 'node:crypto'
import { setImmediate as othersTurn } from 'node:timers/promises'
import type { AuditRow, AuditTable } from '../db/tables/audit.ts'
import type { Witness } from './anchor.ts'
import { auditHash, BEGINNING, type Head } from './hash.ts'

export type Verdict = Sound | Broken

interface Sound {
  ok: true
  /** Number of rows. */
  rows: number
  /** Hash of the last row, in hex. */
  head: string
}

interface Broken {
  ok: false
  /** Number of good rows before the bad one. */
  rows: number
  /** Number of the first bad or missing row; null when the problem concerns no row. */
  row: number | null
  /** One sentence. */
  problem: string
}

/** Rows per page: a few milliseconds each. */
const PAGE = 2_000
/** Below every row number, including numbers that only an intruder would use. */
const BELOW_ALL = Number.MIN_SAFE_INTEGER

/** Verifies the whole chain, page by page. */
export async function verifyChain(table: AuditTable, { key, witnessed }: Witness): Promise<Verdict> {
  let head = BEGINNING
  for (let after = BELOW_ALL; ; after = head.seq) {
    const page = table.after(after, PAGE)
    const bad = firstBad(page, head, key)
    if (bad) return bad
    head = page.at(-1) ?? head
    // `witnessed` was read before the rows: rows appended since are ahead of it, never behind.
    if (page.length < PAGE) return judgeEnd(table, head, witnessed)
    await othersTurn()
  }
}

/** Verifies only the last `rows` rows, in bounded time, and trusts what lies before them. */
export function verifyTail(table: AuditTable, { key, witnessed }: Witness, rows: number): Verdict {
  const last = table.last()?.seq ?? 0
  const isWhole = last <= rows
  const page = table.after(isWhole ? BELOW_ALL : last - rows - 1, rows + 1)
  const head = isWhole ? BEGINNING : page.shift()!
  return firstBad(page, head, key) ?? judgeEnd(table, page.at(-1) ?? head, witnessed)
}

/** Checks consecutive rows, the first of which follows `head`. */
function firstBad(rows: readonly AuditRow[], head: Head, key: KeyObject): Broken | undefined {
  for (const row of rows) {
    const problem = problemOf(row, head, key)
    if (problem) return { ok: false, rows: head.seq, row: row.seq > head.seq + 1 ? head.seq + 1 : row.seq, problem }
    head = row
  }
  return undefined
}

function problemOf(row: AuditRow, head: Head, key: KeyObject): string | undefined {
  const expected = head.seq + 1
  if (row.seq > expected)
    return row.seq - 1 > expected ? `rows ${expected} to ${row.seq - 1} are missing` : `row ${expected} is missing`
  if (row.seq < expected) return `row ${row.seq} stands before the first one`
  if (!row.hash.equals(auditHash(key, row)))
    return `row ${row.seq} is not as it was written: it was edited, inserted or moved`
  if (!row.previous.equals(head.hash)) return `row ${row.seq} does not follow the row before it`
  return undefined
}

/** All rows read are good: checks that none is missing at the end and that they are the witnessed ones. */
function judgeEnd(table: AuditTable, { seq, hash }: Head, witnessed: Head | null): Verdict {
  const bad = (row: number | null, problem: string): Broken => ({ ok: false, rows: seq, row, problem })
  if (!witnessed) return bad(null, 'the head file is gone, or was not written with this key')
  if (seq < witnessed.seq) {
    const missing =
      seq + 1 < witnessed.seq ? `rows ${seq + 1} to ${witnessed.seq} are missing` : `row ${witnessed.seq} is missing`
    const how = seq === 0 ? 'the table was emptied' : 'the end was cut off, or this is an older copy of the file'
    return bad(seq + 1, `${missing}: ${how}`)
  }
  const [row] = witnessed.seq > 0 ? table.after(witnessed.seq - 1, 1) : []
  if (row && !row.hash.equals(witnessed.hash)) {
    return bad(witnessed.seq, `row ${witnessed.seq} is another than the head file has seen`)
  }
  const changed = table.changedTriggers()
  if (changed.length > 0) {
    return bad(null, `what keeps rows from being changed was removed or replaced: ${changed.join(', ')}`)
  }
  return { ok: true, rows: seq, head: hash.toString('hex') }
}
