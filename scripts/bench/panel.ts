/**
 * `node scripts/bench/panel.ts [--seconds 10]`: the dashboard in real Chromium while fifty events a second come: how long
 * after an event its row is painted, how evenly frames are drawn (from the browser's own trace), how large the first load
 * is and how soon it can be used.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import type { Browser, Page } from 'playwright-core'
import { configSchema } from '../../src/config/schema.ts'
import { newAgentId, newRunId } from '../../src/core/ids.ts'
import { nanodollars, usd } from '../../src/core/money.ts'
import { openParts, type RuntimeParts } from '../../src/runtime.ts'
import { openBrowser, openPage } from '../../test/support/browser.ts'

const EVENT_EVERY_MS = 20
const root = resolve(import.meta.dirname, '../..')
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '10' } } })
const forMs = Number(values.seconds) * 1000

const folder = mkdtempSync(join(tmpdir(), 'iron-cage-panel-'))
const config = configSchema.parse({
  server: { port: 0 },
  db: { path: join(folder, 'iron_state.db') },
  log: { dir: join(folder, 'logs') },
})
const runtime = await openParts({ config, configFile: null, environment: {}, version: 'bench' })
const browser = await openBrowser()
try {
  console.log(`first load          ${firstLoadKb()} KB compressed`)
  console.log(`usable after        ${(await usableAfter(browser, runtime)).toFixed(0)} ms (median of five)`)
  const { page } = await openPage(browser, runtime.dashboardLink())
  const stop = keepRecording(runtime)
  await page.getByText('Agent status').waitFor()
  const delays = await paintDelays(page, forMs)
  console.log(
    `event → pixel       p50 ${quantile(delays, 0.5)} ms, p99 ${quantile(delays, 0.99)} ms (${delays.length} events)`,
  )
  const frames = await frameTimes(browser, page, forMs)
  const perSecond = (1000 * frames.length) / frames.reduce((sum, ms) => sum + ms, 0)
  console.log(
    `frames              ${perSecond.toFixed(1)} a second, p50 ${quantile(frames, 0.5).toFixed(1)} ms, p99 ${quantile(frames, 0.99).toFixed(1)} ms`,
  )
  stop()
} finally {
  await browser.close()
  await runtime.close('measured')
  rmSync(folder, { recursive: true, force: true })
}

function firstLoadKb(): string {
  const files = readdirSync(join(root, 'dist/web')).filter((name) => !name.endsWith('.map'))
  return (
    files.reduce((sum, name) => sum + gzipSync(readFileSync(join(root, 'dist/web', name))).length, 0) / 1024
  ).toFixed(1)
}

/** From the request to a dashboard that shows the state, in ms. */
async function usableAfter(opened: Browser, { dashboardLink }: RuntimeParts): Promise<number> {
  const times: number[] = []
  for (let start = 0; start < 5; start++) {
    const { page } = await openPage(opened, dashboardLink())
    await page
      .getByText(/No agent yet|Agent status/)
      .first()
      .waitFor()
    // The page's own clock begins with the request.
    times.push(await page.evaluate(() => performance.now()))
    await page.context().close()
  }
  return quantile(times, 0.5)
}

/** An agent that prints a line fifty times a second and moves its progress with every second line. */
function keepRecording({ state, ledger }: RuntimeParts): () => void {
  const id = newAgentId('bench')
  const about = { level: 'INFO', agent_id: id } as const
  ledger.accounts.openAccount(id, nanodollars(50e9))
  state.record({
    ...about,
    type: 'agent.started',
    message: 'started',
    data: {
      run_id: newRunId(),
      name: 'bench',
      script: '/bench.py',
      environment: 'development',
      pid: process.pid,
      restart: 0,
      limit_usd: usd('50'),
      safety_mode: 'redact',
      detect: ['email'],
    },
  })
  let line = 0
  const timer = setInterval(() => {
    line++
    if (line % 2 === 0) {
      const data = { done: line / 2, total: 10_000, unit: 'leads', label: null }
      state.record({ ...about, type: 'progress.updated', message: `${line / 2} leads`, data })
    } else {
      state.record({
        ...about,
        type: 'agent.output',
        message: `line ${line}`,
        data: { stream: 'stdout', text: `line ${line}` },
      })
    }
  }, EVENT_EVERY_MS)
  return () => clearInterval(timer)
}

/** For each newest row of the event log, ms from its event to the frame in which it is painted. */
function paintDelays(page: Page, ms: number): Promise<number[]> {
  return page.evaluate(async (forThisLong) => {
    const delays: number[] = []
    let last = ''
    const until = performance.now() + forThisLong
    await new Promise<void>((resolve) => {
      const look = () => {
        const row = document.querySelector<HTMLTimeElement>('.virtual .event time')
        const text = row?.parentElement?.textContent ?? ''
        if (row && text !== last) {
          last = text
          const at = Date.parse(row.dateTime)
          requestAnimationFrame(() => delays.push(Date.now() - at))
        }
        if (performance.now() < until) requestAnimationFrame(look)
        else resolve()
      }
      look()
    })
    return delays
  }, ms)
}

/** Between frames that were drawn, in ms. */
async function frameTimes(opened: Browser, page: Page, ms: number): Promise<number[]> {
  await opened.startTracing(page, {
    categories: ['devtools.timeline', 'disabled-by-default-devtools.timeline.frame', 'devtools.timeline.frame'],
  })
  await page.evaluate(() => {
    // Something moves all the time, as a transition does: frames are asked for at the full rate.
    const tick = () => requestAnimationFrame(tick)
    tick()
  })
  await wait(ms)
  const trace = JSON.parse((await opened.stopTracing()).toString()) as { traceEvents: { name: string; ts: number }[] }
  const drawn = trace.traceEvents.filter(({ name }) => name === 'FireAnimationFrame').map(({ ts }) => ts / 1000)
  drawn.sort((a, b) => a - b)
  return drawn.slice(1).map((at, index) => at - drawn[index]!)
}

function quantile(all: number[], share: number): number {
  return [...all].sort((a, b) => a - b)[Math.min(all.length - 1, Math.floor(all.length * share))] ?? Number.NaN
}
