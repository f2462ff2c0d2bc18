import { routesOf } from '../http/route.ts'
import type { Member, PanelRole } from './access/credentials.ts'
import { requireNames } from './names.ts'
import { requireStorable } from './storable.ts'

type PanelTag = Parameters<typeof routesOf>[0]

/**
 * Returns the function that defines the routes of one group of a Control Panel. They refuse what its
 * database cannot store, and names that would not show as they are.
 */
export const panelRoutesOf = (tag: PanelTag) =>
  routesOf<Member, PanelRole>(tag, ({ params, query, body }) => {
    requireStorable(params, 'the path')
    requireStorable(query, 'the query')
    requireStorable(body, 'the body')
    requireNames(params)
    requireNames(body)
  })
