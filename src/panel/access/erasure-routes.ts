/** Erasing a person from the organization's data on the panel. */

import * as z from 'zod'
import { count, named, type Route, type Shape } from '../../http/route.ts'
import type { ErasureView } from '../fleet-view.ts'
import { panelRoutesOf } from '../panel-route.ts'
import type { PanelRole } from './credentials.ts'
import type { Erasures } from './erasure.ts'

const panelRoute = panelRoutesOf('Panel')

/** One letter would be everywhere; a quote would change the JSON that it stands in. */
const word = z
  .string()
  .trim()
  .regex(/^(?=.*[\p{L}\p{N}].*[\p{L}\p{N}])[^\p{Cc}"\\]{2,200}$/u, 'expected 2 to 200 characters without quotes')

const erasureView = named('Erasure', () =>
  z.object({
    pseudonym: z.string().describe('What stands in place of the words now.'),
    rows: z.record(z.string(), count()).describe('How many rows had them, by table.'),
  } satisfies Shape<ErasureView>),
)

export const erasureRoutes = ({ erasures }: { erasures: Erasures }): Route<PanelRole>[] => [
  panelRoute('POST /api/erasures', {
    role: 'admin',
    summary: 'Replaces the names and addresses of a person by one pseudonym in all that the organization stores.',
    body: z.strictObject({
      words: z.array(word).min(1).max(20).describe('As whole words, in upper or lower case.'),
      dry_run: z.boolean().default(false).describe('Counts, and changes nothing.'),
    }),
    reply: () => erasureView(),
    errors: ['conflict', 'audit_broken'],
    handle: ({ body: { words, dry_run: isTrial }, identity }) => erasures.erase(identity, words, isTrial),
  }),
]
