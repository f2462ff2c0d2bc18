/**
 * `node scripts/bench/screens.ts [--agents 1,60,1000] [--calls 1000000] [--pictures <folder>]`: needs a build. Every page of the dashboard in
 * real Chromium with 1, 60 and 1,000 agents (100,000 events, and the calls, in the last): clean for axe and without cut or
 * overprinted texts in both themes, at six widths, with wider letters too; how long the main thread is held while sixty
 * events a second arrive; and how long an interaction with the page of calls takes. Exits 1 when anything is found.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import { configSchema } from '../../src/config/schema.ts'
import type { AgentId } from '../../src/core/ids.ts'
import { openStore } from '../../src/db/store.ts'
import type { RuntimeParts } from '../../src/runtime.ts'
import { findings, goTo, openBrowser, openPage, resizeTo } from '../../test/support/browser.ts'
import { openParts } from '../../test/support/built.ts'
import { addCrowd } from '../../test/support/crowd.ts'
import { brokenTexts, widenFonts } from '../../test/support/geometry.ts'
import { insertCalls } from '../soak/ledger-rows.ts'

const { values } = parseArgs({
  options: {
    agents: { type: 'string', default: '1,60,1000' },
    calls: { type: 'string', default: '1000000' },
    pictures: { type: 'string' },
  },
})
const WIDTHS = [1920, 1600, 1536, 1366, 768, 390]
const THEMES = ['light', 'dark'] as const
/** The time that feels immediate to a person, in ms. */
const MAX_INTERACTION_MS = 100
const SIZES = [
  { agents: 1, events: 0, calls: 10 },
  { agents: 60, events: 1_000, calls: 1_000 },
  { agents: 1_000, events: 100_000, calls: Number(values.calls) },
]

if (values.pictures) mkdirSync(values.pictures, { recursive: true })
const browser = await openBrowser()
try {
  const asked = values.agents.split(',').map(Number)
  for (const size of SIZES.filter(({ agents }) => asked.includes(agents))) await inspect(browser, size)
} finally {
  await browser.close()
}

async function inspect(opened: Browser, size: (typeof SIZES)[number]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-screens-'))
  try {
    const { agentIds } = await fill(folder, size)
    const runtime = await open(folder)
    try {
      const { page, faults } = await openPage(opened, runtime.dashboardLink())
      await page.locator('.app main').waitFor()
      console.log(`${size.agents} agents, ${runtime.state.read().seq} events, ${size.calls} calls`)
      await look(page, size.agents, agentIds[0]!)
      await measureLive(page, runtime, agentIds)
      await measureCalls(page, agentIds)
      for (const fault of faults) complain(`the console says: ${fault}`)
      await page.context().close()
    } finally {
      await runtime.close('inspected')
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function open(folder: string): Promise<RuntimeParts> {
  return openParts({
    config: configSchema.parse({
      server: { port: 0 },
      db: { path: join(folder, 'iron_state.db') },
      log: { dir: join(folder, 'logs'), level: 'error' },
    }),
    configFile: null,
    environment: {},
    version: 'bench',
  })
}

/** The events through the program, then the rows of calls and incidents, for which real calls would take hours. */
async function fill(folder: string, size: (typeof SIZES)[number]): Promise<{ agentIds: AgentId[] }> {
  const runtime = await open(folder)
  const agentIds = addCrowd(runtime, size)
  const leaks = runtime.state.findEvents({ type: 'pii.found', limit: 1_000 })
  await runtime.close('filled')
  const store = openStore({ path: join(folder, 'iron_state.db') })
  store.transaction(() => {
    const startMs = Date.now() - size.calls * 10
    for (const _ of insertCalls(store, { agentIds, count: size.calls, startMs })) void _
    for (const { at, agent_id, data } of leaks) {
      if (agent_id === null || !('incident_id' in data)) continue
      const { incident_id: id, action, place, call_id, value_hash, start, end } = data
      const row = { id, at, agent_id, action, place, call_id, value_hash, start, end }
      const kept = { type: 'email', severity: 'CRITICAL', original: 'not_kept', sealed_original: null } as const
      store.incidents.insert({ ...row, ...kept })
    }
  })
  store.close()
  return { agentIds }
}

async function look(page: Page, agents: number, agentId: AgentId): Promise<void> {
  const pages = ['', `agents/${agentId}`, 'calls', 'runs', 'incidents', 'audit', 'settings', 'booth']
  const titleOf = (name: string) => name.replace(`s/${agentId}`, '') || 'overview'
  for (const name of pages) {
    await show(page, name)
    for (const colorScheme of THEMES) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      for (const found of await findings(page)) complain(`${titleOf(name)} ${colorScheme}: ${found}`)
      for (const width of values.pictures ? WIDTHS : []) {
        await resizeTo(page, width, 900)
        const path = `${agents}-${titleOf(name)}-${width}-${colorScheme}.png`
        await page.screenshot({ path: join(values.pictures!, path) })
      }
      await resizeTo(page, 1920, 1080)
    }
  }
  await widenFonts(page)
  for (const name of pages) {
    await show(page, name)
    for (const width of WIDTHS) {
      await resizeTo(page, width, 900)
      for (const found of await brokenTexts(page)) complain(`${titleOf(name)} ${width}: ${found}`)
    }
  }
  await resizeTo(page, 1920, 1080)
}

async function show(page: Page, name: string): Promise<void> {
  await goTo(page, `#/${name}`)
  await page.locator('.app main .panel').first().waitFor()
}

/** The longest time that the page does not react, while sixty events a second arrive. */
async function measureLive(page: Page, { state }: RuntimeParts, agentIds: readonly AgentId[]): Promise<void> {
  await goTo(page, '#/')
  await page.locator('.agent-table').waitFor()
  let line = 0
  const timer = setInterval(() => {
    const text = `line ${line}`
    const agent_id = agentIds[line++ % agentIds.length]!
    state.record({ type: 'agent.output', level: 'INFO', agent_id, message: text, data: { stream: 'stdout', text } })
  }, 1000 / 60)
  const held = await page.evaluate(async () => {
    const tasks: number[] = []
    const observer = new PerformanceObserver((list) => {
      tasks.push(...list.getEntries().map(({ duration }) => duration))
    })
    observer.observe({ type: 'longtask' })
    await new Promise((resolve) => setTimeout(resolve, 5_000))
    observer.disconnect()
    return tasks
  })
  clearInterval(timer)
  console.log(
    `  overview while 60 events/s arrive: ${held.length} tasks over 50 ms, longest ${Math.max(0, ...held)} ms`,
  )
}

/** From the choice to the painted answer. */
async function measureCalls(page: Page, agentIds: readonly AgentId[]): Promise<void> {
  await goTo(page, '#/calls')
  const row = page.locator('.list tbody tr').first()
  await row.waitFor()
  const interactions: [string, string][] = [
    ['highest cost first', '#/calls?sort=cost'],
    ['oldest first', '#/calls?sort=oldest'],
    ['one agent', `#/calls?agent=${agentIds[0]}`],
    ['one model', '#/calls?model=gpt-4o'],
    ['one agent, one model, by cost', `#/calls?agent=${agentIds[0]}&model=gpt-4o&sort=cost`],
    ['failed, of which there are none', '#/calls?outcome=failed'],
    ['newest first', '#/calls'],
  ]
  for (const [name, hash] of interactions) report(name, await timed(page, hash))
  const first = (await row.getByRole('link').getAttribute('href'))!
  report('open a call', await timed(page, first))
  report('close it', await timed(page, '#/calls'))
}

function report(name: string, ms: number): void {
  console.log(`  calls: ${name.padEnd(32)} ${ms.toFixed(0)} ms`)
  if (ms > MAX_INTERACTION_MS) complain(`${name} took ${ms.toFixed(0)} ms`)
}

/** Follows a link of the page, and waits until nothing more is drawn; ms until the last change was painted. */
function timed(page: Page, hash: string): Promise<number> {
  return page.evaluate(async (next) => {
    const main = document.querySelector('.app main')!
    let changedAt = 0
    const began = performance.now()
    const observer = new MutationObserver(() => {
      requestAnimationFrame(() => {
        changedAt = performance.now()
      })
    })
    observer.observe(main, { childList: true, subtree: true, characterData: true, attributes: true })
    location.hash = next
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    observer.disconnect()
    return changedAt - began
  }, hash)
}

function complain(what: string): void {
  console.log(`  ✖ ${what}`)
  process.exitCode = 1
}
