import { CageError } from '../../../core/errors.ts'
import type { FleetView, RuntimeView } from '../../../panel/fleet-view.ts'
import type { ApiClient } from '../../client/client.ts'
import { table } from '../../output/print.ts'

/** Describes an argument that names a runtime. */
export const RUNTIME_HELP = 'The runtime: its id, a unique prefix of it, or its name'

/**
 * Finds the runtime that is meant; of several of one name, those that were revoked do not count. Throws CageError `usage`
 * when several match, or `not_found`.
 */
export async function findRuntime(client: ApiClient, named: string): Promise<RuntimeView> {
  const { runtimes } = await client.send<FleetView>('GET', '/api/fleet')
  const called = runtimes.filter(({ name }) => name === named)
  const ranked = [
    runtimes.filter(({ id }) => id === named),
    called.filter(({ state }) => state !== 'revoked'),
    called,
    runtimes.filter(({ id }) => named !== '' && id.startsWith(named)),
  ]
  const meant = ranked.find((matching) => matching.length > 0) ?? []
  if (meant.length > 1) {
    const candidates = table(meant.map(({ id, name, state }) => [id, name, state]))
    throw new CageError('usage', [`"${named}" matches ${meant.length} runtimes`, ...candidates].join('\n'), {
      hint: 'use the id of the one you mean',
    })
  }
  const [runtime] = meant
  if (runtime) return runtime
  throw new CageError('not_found', `there is no runtime "${named}"`, {
    hint: 'list them with "iron-cage runtimes list"',
  })
}
