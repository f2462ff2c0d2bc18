/** A server for a process that a test can kill; its agents run in the database's folder. */
import { dirname, join } from 'node:path'
import { configSchema } from '../../src/config/schema.ts'
import type { RuntimeParts } from '../../src/runtime.ts'
import { agentSettings } from './agent-parts.ts'
import { openParts } from './built.ts'

export const openAgentServer = (databasePath: string): Promise<RuntimeParts> =>
  openParts({
    config: configSchema.parse({
      agent: agentSettings(databasePath),
      server: { port: 0 },
      log: { dir: join(dirname(databasePath), 'logs') },
      db: { path: databasePath },
    }),
    configFile: null,
    environment: { PATH: process.env.PATH ?? '' },
    version: '0.0.0-test',
  })
