/**
 * Who is in which team, and who leads it. A lead decides on what people of the team ask for themselves, within the team's
 * limit; a team is named by its budget.
 */
import { CageError } from '../../core/errors.ts'
import { add, type Nanodollars, showUsd, toUsd } from '../../core/money.ts'
import type { StoredRequest } from '../control/requests.ts'
import { appendAudit } from '../db/audit-store.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'
import { type Member, noBudget } from './credentials.ts'

export type TeamRole = 'member' | 'lead'

export interface StoredTeamMember {
  team: string
  user_id: string
  username: string
  role: TeamRole
}

type Admin = Pick<Member, 'organizationId' | 'name'>

export class Teams {
  readonly #database: PanelDatabase

  constructor(database: PanelDatabase) {
    this.#database = database
  }

  /** By team and name. */
  list(organizationId: string): Promise<{ teams: string[]; members: StoredTeamMember[] }> {
    return this.#database.within(organizationId, async (sql) => {
      const budgets = await sql.rows<{ name: string }>(
        "SELECT name FROM budgets WHERE organization_id = $1 AND scope = 'team' ORDER BY name",
        [organizationId],
      )
      const members = await sql.rows<StoredTeamMember>(
        `SELECT team_members.team, team_members.user_id, team_members.role, users.username
         FROM team_members JOIN users ON users.id = team_members.user_id
         WHERE team_members.organization_id = $1 ORDER BY team, username`,
        [organizationId],
      )
      return { teams: budgets.map(({ name }) => name), members }
    })
  }

  /** `role`: null removes the person from the team. Throws CageError `not_found` for a team without a budget or a user. */
  async set(
    { organizationId, name: actor }: Admin,
    team: string,
    idOrName: string,
    role: TeamRole | null,
  ): Promise<void> {
    const { dialect } = this.#database
    await this.#database.within(organizationId, async (sql) => {
      const budgets = await sql.rows(
        "SELECT id FROM budgets WHERE organization_id = $1 AND scope = 'team' AND name = $2",
        [organizationId, team],
      )
      if (budgets.length === 0) throw noBudget('team', team)
      const [person] = await sql.rows<{ id: string; username: string }>(
        `SELECT id, username FROM users WHERE organization_id = $1 AND (id = $2 OR username = $3) ${dialect.forUpdate}`,
        [organizationId, idOrName, idOrName.toLowerCase()],
      )
      if (!person)
        throw new CageError('not_found', `there is no user "${idOrName}"`, {
          hint: 'list them with "iron-cage users list"',
        })
      const values = [organizationId, team, person.id]
      await sql.rows('DELETE FROM team_members WHERE organization_id = $1 AND team = $2 AND user_id = $3', values)
      if (role !== null) {
        const insert = 'INSERT INTO team_members (organization_id, team, user_id, role) VALUES ($1, $2, $3, $4)'
        await sql.rows(insert, [...values, role])
      }
      const details = { username: person.username, role: role ?? 'none' }
      await appendAudit(sql, dialect, [{ organizationId, actor, action: 'team.changed', target: team, details }])
    })
  }

  /**
   * For the transaction of a decision. Throws CageError `forbidden` unless this person leads a team of the budget's
   * owner, who is another person, and the budget with `more` is within the team's limit.
   */
  async requireLead(
    sql: Sql,
    { organizationId, userId }: Member,
    { scope, name }: Pick<StoredRequest, 'scope' | 'name'>,
    more: Nanodollars,
  ): Promise<void> {
    const teams = await sql.rows<{ team: string; limit_nanos: Nanodollars }>(
      `SELECT budgets.name AS team, budgets.limit_nanos FROM team_members lead
       JOIN team_members own ON own.organization_id = lead.organization_id AND own.team = lead.team
       JOIN users ON users.id = own.user_id
       JOIN budgets ON budgets.organization_id = lead.organization_id AND budgets.scope = 'team' AND budgets.name = lead.team
       WHERE lead.organization_id = $1 AND lead.user_id = $2 AND lead.role = 'lead' AND own.user_id <> lead.user_id
         AND users.username = $3 AND $4 = 'user'`,
      [organizationId, userId ?? '', name, scope],
    )
    if (teams.length === 0) {
      throw new CageError('forbidden', 'this needs an admin, or the lead of a team for the budget of one of its people')
    }
    const [budget] = await sql.rows<{ limit_nanos: Nanodollars }>(
      `SELECT limit_nanos FROM budgets WHERE organization_id = $1 AND scope = 'user' AND name = $2 ${this.#database.dialect.forUpdate}`,
      [organizationId, name],
    )
    const wanted = add(budget!.limit_nanos, more)
    if (teams.some(({ limit_nanos: limit }) => wanted <= limit)) return
    const { team, limit_nanos: limit } = teams[0]!
    throw new CageError(
      'forbidden',
      `${showUsd(toUsd(wanted))} is more than the team ${team} has, ${showUsd(toUsd(limit))}`,
      {
        hint: 'an admin decides on it',
      },
    )
  }
}
