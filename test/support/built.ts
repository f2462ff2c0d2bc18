/**
 * What is built is what is tested: the whole program as it is in dist/, opened in the process that asks. Parts of it that
 * a test opens alone are the sources.
 */
import { dirname, join, resolve } from 'node:path'
import { configSchema } from '../../src/config/schema.ts'
import type { Runtime } from '../../src/runtime.ts'
import { agentSettings } from './agent-parts.ts'

const BUILT = resolve(import.meta.dirname, '../../dist/runtime.mjs')

export const { openRuntime } = (await import(BUILT)) as typeof import('../../src/runtime.ts')

/** A server for a process that a test can kill; its agents run in the database's folder. */
export const openAgentServer = (databasePath: string): Promise<Runtime> =>
  openRuntime({
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
