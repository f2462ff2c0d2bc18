/**
 * Erases a person from everything that an organization's panel stores: names, addresses and the like become one random
 * pseudonym, as whole words.
 *
 * The rules are:
 * - One transaction erases everywhere, or nowhere; the audit has who did it, and not whom it was about.
 * - The audit is verified first, and stays verifiable (`db/audit-store.ts`): an erasure never hides another change of it.
 * - Nobody erases themselves: the audit would lose its authors.
 * - What other things depend on is changed by a person, and before.
 * - States of agents that any process of the panel has in memory count no more (`telemetry.erasures`).
 */
import { CageError } from '../../core/errors.ts'
import { appendAudit, ERASED, erasedEntries, rewriteAudit, type StoredAudit, verifyAudit } from '../db/audit-store.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'
import { boundTexts, eachRow, eraseInTable } from '../db/erase-rows.ts'
import { TEXT_TABLES } from '../db/personal-columns.ts'
import type { ErasureView } from '../fleet-view.ts'
import { type Member, newId } from './credentials.ts'
import { type EraseWords, eraseInJson, eraseWords } from './erase-words.ts'

type Eraser = Pick<Member, 'organizationId' | 'name'>

/** Names that an error lists. */
const MAX_LISTED = 5
/** Letters that it shows of each. */
const MAX_SHOWN = 80

export class Erasures {
  readonly #database: PanelDatabase

  constructor(database: PanelDatabase) {
    this.#database = database
  }

  /**
   * Erases `words` of one person. `isTrial`: counts, and changes nothing. Throws CageError `forbidden` for one's own name,
   * `conflict` where something else must be changed first, or `audit_broken`.
   */
  async erase({ organizationId, name: by }: Eraser, words: readonly string[], isTrial: boolean): Promise<ErasureView> {
    const pseudonym = newId('erased')
    const erase = eraseWords(words, pseudonym)
    if (erase(by) !== by) {
      throw new CageError('forbidden', 'nobody erases themselves from the audit', { hint: 'ask another admin' })
    }
    const rows: Record<string, number> = {}
    const work = async (sql: Sql): Promise<void> => {
      // Nobody stores a state or events until the end.
      await sql.rows('UPDATE telemetry SET erasures = erasures + 1 WHERE organization_id = $1', [organizationId])
      await requireUnbound(sql, organizationId, erase)
      for (const table of Object.keys(TEXT_TABLES)) {
        if (table === 'audit') continue
        const count = await eraseInTable(sql, organizationId, table, erase)
        if (count > 0) rows[table] = count
      }
      const hashes = await this.#eraseInAudit(sql, organizationId, erase)
      if (hashes.length > 0) rows.audit = hashes.length
      const entry = { organizationId, actor: by, action: ERASED, target: pseudonym, details: rows }
      await appendAudit(sql, this.#database.dialect, erasedEntries(entry, hashes))
      if (isTrial) throw new EndOfTrial()
    }
    await this.#database.within(organizationId, work).catch((error: unknown) => {
      if (!(error instanceof EndOfTrial)) throw error
    })
    if (!isTrial) await this.#database.announce(organizationId)
    return { pseudonym, rows }
  }

  async #eraseInAudit(sql: Sql, organizationId: string, erase: EraseWords): Promise<string[]> {
    // Locks it, so that nothing is appended meanwhile; runtimes get the names of budgets again.
    await sql.rows('UPDATE organizations SET budgets_version = budgets_version + 1 WHERE id = $1', [organizationId])
    const verdict = await verifyAudit(sql, organizationId)
    if (!verdict.ok) {
      const where = verdict.row === null ? '' : `row ${verdict.row} `
      throw new CageError('audit_broken', `the audit was changed before, nothing is erased: ${where}${verdict.problem}`)
    }
    const hashes: string[] = []
    await eachRow<StoredAudit>(sql, organizationId, 'audit', async (row) => {
      const details = row.action === ERASED ? row.details : eraseInJson(row.details, erase)
      const left = { actor: erase(row.actor), target: erase(row.target), details }
      if (left.actor === row.actor && left.target === row.target && left.details === row.details) return
      hashes.push(await rewriteAudit(sql, row, left))
    })
    return hashes
  }
}

/** Rolls the trial back. */
class EndOfTrial extends Error {}

/** Throws CageError `conflict` if something depends on a name with the words. */
async function requireUnbound(sql: Sql, organizationId: string, erase: EraseWords): Promise<void> {
  const bound = (await boundTexts(sql, organizationId)).filter(({ text }) => erase(text) !== text)
  if (bound.length === 0) return
  const listed = bound.slice(0, MAX_LISTED).map(({ table, text }) => `${text.slice(0, MAX_SHOWN)} (${table})`)
  throw new CageError('conflict', `other things depend on these names: ${listed.join(', ')}`, {
    hint: 'remove that user, secret or environment, or change the policy; then erase again',
  })
}
