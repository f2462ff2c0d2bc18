import * as z from 'zod'
import { type Route, routesOf } from '../http/route.ts'
import { scrubTexts } from '../state/clean.ts'
import type { Deps } from './deps.ts'

export const configRoutes = ({ running, safety }: Pick<Deps, 'running' | 'safety'>): Route[] => [
  routesOf('Server')('GET /api/config', {
    role: 'admin',
    summary: 'Returns each setting in force and where it comes from. Secrets are not shown.',
    reply: () =>
      z.object({
        file: z.string().nullable().describe('The configuration file; null without one.'),
        settings: z.array(
          z.object({
            key: z.string().describe('As in the configuration file, such as `safety.mode`.'),
            ...settingShape(),
            next: z
              .object(settingShape())
              .nullable()
              .describe('What the configuration says now, from the next start on; null where that is the same.'),
          }),
        ),
      }),
    handle: () => ({
      file: running.file,
      // One in the wrong place, such as in an address, is masked too.
      settings: scrubTexts(running.shown(), safety.withoutSecrets),
    }),
  }),
]

const settingShape = () => ({
  value: z.unknown().describe('As in the configuration file; null for none.'),
  origin: z
    .string()
    .describe('A flag, a variable, file and line, `Control Panel` for what its policy decides, or `default`.'),
})
