/** The dashboard in a real browser, on a real runtime in which the demo's agent works. */

import { mkdirSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { onTestFinished } from 'vitest'
import { openStage, type StageOptions } from '../../demo/stage.ts'
import { readLeads } from '../../demo/world.ts'
import { configSchema } from '../../src/config/schema.ts'
import type { AgentId } from '../../src/core/ids.ts'
import type { RuntimeParts } from '../../src/runtime.ts'
import type { AgentView } from '../../src/state/snapshot.ts'
import { openPage } from './browser.ts'
import { openParts } from './built.ts'
import { freePort } from './free-port.ts'

const root = resolve(import.meta.dirname, '../..')
const leads = readLeads(join(root, 'demo/leads.csv'))
/** Where screenshots of the tests are kept. */
export const pictures = join(root, 'test-output')
mkdirSync(pictures, { recursive: true })

export interface Show {
  runtime: RuntimeParts
  agentId: AgentId
  page: Page
  faults: string[]
  agent(): AgentView
  /** Another server on the same database and address, when the first is closed. */
  startAgain(): Promise<RuntimeParts>
}

const MASTER_KEY = 'q7m1Zr0WkGk2nX4t8vB3yD6fH9jL5pS0'

/** `isLocked`: there is no master key. (Default: false.) */
export type ShowOptions = Partial<StageOptions> & { isLocked?: boolean }

/** The demo in a real runtime, with the dashboard open on it. */
export async function openShow(browser: Browser, { isLocked = false, ...options }: ShowOptions = {}): Promise<Show> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-browser-'))
  const given = configSchema.parse({
    // No other program takes it between one server and the next on the same address.
    server: { port: await freePort() },
    db: { path: join(folder, 'iron_state.db') },
    log: { dir: join(folder, 'logs') },
    budget: { limit_usd: '50' },
    agent: { stop_grace_s: 1 },
  })
  const stage = await openStage({ leads, paceMs: 0, given, ...options })
  const environment = { PATH: process.env.PATH! }
  const masterKey = isLocked ? undefined : MASTER_KEY
  const settings = { config: stage.config, configFile: null, environment, masterKey, version: 'test' }
  const runtime = await openParts(settings)
  const opened = [runtime]
  const startAgain = async () => {
    const next = await openParts(settings)
    opened.push(next)
    return next
  }
  onTestFinished(async () => {
    for (const each of opened) await each.close('the test is over')
    await stage[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })
  await stage.prepare(runtime)
  const { page, faults } = await openPage(browser, runtime.dashboardLink())
  await page.getByText('No agent yet').waitFor()
  const { agentId } = await runtime.supervisor.start({ script: join(root, 'demo/lead_gen_agent.py') })
  await page.getByText('Agent status').waitFor()
  onTestFinished(() => page.context().close())
  return { runtime, agentId, page, faults, startAgain, agent: () => runtime.state.read().agents[agentId]! }
}

/** Resolves when so many leads are done on screen. */
export const doneOnScreen = (page: Page, done: number) =>
  page.waitForFunction(
    (wanted) => Number.parseInt(document.querySelector('[data-figure=progress]')?.textContent ?? '0', 10) >= wanted,
    done,
  )

/** Resolves when the agent is in this state on screen. */
export const stateOnScreen = (page: Page, word: string) => page.locator('.status .tag', { hasText: word }).waitFor()

export const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })

/** Tabs until the element with this text has the focus. */
export async function tabTo(page: Page, text: string): Promise<void> {
  for (let steps = 0; steps < 200; steps++) {
    await page.keyboard.press('Tab')
    const focused = await page.evaluate(
      () => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent,
    )
    if (focused === text) return
  }
  throw new Error(`no Tab leads to "${text}"`)
}
