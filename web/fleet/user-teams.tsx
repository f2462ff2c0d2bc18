/** The teams of a user, and a dialog that changes them. */
import { useSignal } from '@preact/signals'
import type { TeamMemberView, TeamsView } from '../../src/panel/fleet-view.ts'
import { Dialog } from '../parts/dialog.tsx'
import { Tag } from '../parts/parts.tsx'
import { send } from '../session.ts'

type TeamRole = TeamMemberView['role']

interface UserTeamsProps {
  username: string
  view: TeamsView
  onChanged: () => Promise<void>
}

export function UserTeams({ username, view: { teams, members }, onChanged }: UserTeamsProps) {
  const isChanging = useSignal(false)
  const own = members.filter((member) => member.username === username)
  return (
    <>
      {own.map(({ team, role }) => (
        <Tag key={team} tone="off">
          {team}
          {role === 'lead' && ', lead'}
        </Tag>
      ))}
      <button
        type="button"
        class="btn ghost"
        aria-label={`Teams of ${username}`}
        onClick={() => (isChanging.value = true)}
      >
        Teams
      </button>
      {isChanging.value && (
        <TeamsDialog
          username={username}
          teams={teams}
          roles={new Map(own.map(({ team, role }) => [team, role]))}
          onChanged={onChanged}
          onClose={() => (isChanging.value = false)}
        />
      )}
    </>
  )
}

function TeamsDialog({
  username,
  teams,
  roles,
  onChanged,
  onClose,
}: {
  username: string
  teams: readonly string[]
  /** By team; absent where the user is not in it. */
  roles: ReadonlyMap<string, TeamRole>
  onChanged: () => Promise<void>
  onClose: () => void
}) {
  const act = async (fields: FormData) => {
    for (const team of teams) {
      const role = fields.get(team)
      if (role === (roles.get(team) ?? '')) continue
      const path = `/api/fleet/teams/${encodeURIComponent(team)}/members/${encodeURIComponent(username)}`
      await (role === '' ? send('DELETE', path) : send('PUT', path, { role }))
    }
    await onChanged()
  }
  return (
    <Dialog title={`Teams of ${username}`} submit="Set" isReady={teams.length > 0} act={act} onClose={onClose}>
      {teams.length === 0 && (
        <>
          <p>There is no team yet. A team begins with its budget, in US dollars:</p>
          <pre>iron-cage budget set --team research 20</pre>
        </>
      )}
      {teams.map((team) => (
        <label key={team}>
          {team}
          <select name={team} aria-label={`Role in ${team}`}>
            {CHOICES.map(([role, word]) => (
              <option key={role} value={role} selected={role === (roles.get(team) ?? '')}>
                {word}
              </option>
            ))}
          </select>
        </label>
      ))}
    </Dialog>
  )
}

const CHOICES: readonly [TeamRole | '', string][] = [
  ['', 'not in it'],
  ['member', 'member'],
  ['lead', 'lead: decides what its people ask for themselves'],
]
