/** Secrets of the organization, on the Control Panel at IRON_CAGE_URL: `--org` of the commands for secrets. */
import { CageError } from '../../../core/errors.ts'
import type { CentralSecretView } from '../../../panel/fleet-view.ts'
import { json, printTable } from '../../output/print.ts'
import type { Terminal } from '../../output/terminal.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'

export const ORG_HELP = "The organization's, on the Control Panel at IRON_CAGE_URL; --env narrows it to one environment"
export const AGENT_NAME_HELP = 'With --org: for agents of this name only'

const CENTRAL = '/api/fleet/secrets'

export interface CentralFlags {
  env?: string | undefined
  agent?: string | undefined
  json?: boolean | undefined
}

/** Throws CageError `usage` for --agent without --org. */
export function requireOrg({ org, agent }: { org?: boolean | undefined; agent?: string | undefined }): void {
  if (agent !== undefined && !org) throw new CageError('usage', '--agent needs --org')
}

export async function setCentral(name: string, value: string, flags: CentralFlags, terminal: Terminal): Promise<void> {
  const body = { name, value, environment: flags.env ?? null, agent: flags.agent ?? null }
  const secret = await connectToPanel(terminal).send<CentralSecretView>('PUT', CENTRAL, body)
  if (flags.json) return terminal.out(json(secret))
  terminal.err(`${name} of ${placeOf(secret)} is set on the Control Panel (version ${secret.version})`)
}

export async function listCentral(flags: CentralFlags, terminal: Terminal): Promise<void> {
  const { secrets } = await connectToPanel(terminal).send<{ secrets: CentralSecretView[] }>('GET', CENTRAL)
  if (flags.json) return terminal.out(json(secrets))
  const rows = secrets.map((secret) => [
    ...[secret.name, placeOf(secret), secret.masked, `version ${secret.version}`],
    `${secret.updated_at} by ${secret.updated_by}`,
  ])
  printTable(rows, terminal, ['NAME', 'FOR', 'VALUE', 'VERSION', 'CHANGED'])
  if (rows.length === 0) terminal.err('there are no secrets yet; add one with "iron-cage secrets set <name> --org"')
}

/** Throws CageError `not_found`. */
export async function deleteCentral(name: string, flags: CentralFlags, terminal: Terminal): Promise<void> {
  const client = connectToPanel(terminal)
  const { secrets } = await client.send<{ secrets: CentralSecretView[] }>('GET', CENTRAL)
  const place = { environment: flags.env ?? null, agent: flags.agent ?? null }
  const secret = secrets.find(
    (each) => each.name === name && each.environment === place.environment && each.agent === place.agent,
  )
  if (!secret) {
    throw new CageError('not_found', `there is no secret ${name} of ${placeOf(place)}`, {
      hint: 'list them with "iron-cage secrets list --org"',
    })
  }
  await client.send('DELETE', `${CENTRAL}/${secret.id}`)
  if (flags.json) return terminal.out(json(secret))
  terminal.err(
    `${name} of ${placeOf(secret)} was removed from the Control Panel; running agents keep it until they end`,
  )
}

const placeOf = ({ environment, agent }: Pick<CentralSecretView, 'environment' | 'agent'>): string =>
  [environment ?? 'every environment', ...(agent === null ? [] : [`agents named ${agent}`])].join(', ')
