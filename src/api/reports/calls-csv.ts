/** Rows of the ledger as CSV, for spreadsheets. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Context } from 'hono'
import { stream } from 'hono/streaming'
import type { CallRow } from '../../db/tables/calls.ts'
import { type ShownCall, tokensOf } from '../../state/call-view.ts'
import { shownCall } from './calls.ts'

/** Takes a few ms to read and write. */
const PAGE = 500

/** `pageAfter` returns the rows after `last`, at most `limit`; from the first row without `last`. */
export function streamCsv(
  context: Context,
  name: string,
  pageAfter: (last: CallRow | undefined, limit: number) => Promise<CallRow[]>,
): Response {
  context.header('content-type', 'text/csv; charset=utf-8')
  context.header('content-disposition', `attachment; filename="${name}.csv"`)
  return stream(context, async (body) => {
    await body.write(`${CSV_HEADER}\r\n`)
    // A fast client never causes a wait, so yield explicitly.
    for (let last: CallRow | undefined; !body.aborted; await nextTurn()) {
      const page = await pageAfter(last, PAGE)
      await body.write(page.map((row) => `${csvLine(shownCall(row))}\r\n`).join(''))
      if (page.length < PAGE) return
      last = page.at(-1)
    }
  })
}

const COLUMNS = [
  'id',

  'started_at',
  'ended_at',
  'kind',
  'target',
  'model',
  'state',
  'held_usd',
  'cost_usd',
  'estimated',
  'status',
  'code',
  'corrects',
  'reason',
  'unit',
  'agent_id',
] as const satisfies (keyof ShownCall)[]

export const CSV_HEADER = [...COLUMNS, 'input_tokens', 'output_tokens'].join(',')

export function csvLine(call: ShownCall): string {
  const { input = null, output = null } = tokensOf(call) ?? {}
  return [...COLUMNS.map((name) => call[name]), input, output].map(csvCell).join(',')
}

/** RFC 4180; a text that a spreadsheet would run as a formula stays text, and a negative amount stays a number. */
function csvCell(value: string | number | boolean | null): string {
  const text = value === null ? '' : String(value)
  const isFormula = /^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text)
  const safe = isFormula ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
