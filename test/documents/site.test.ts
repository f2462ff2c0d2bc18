/** Parts of the site that no other test looks at; `npm run site:check` looks at the built pages. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { RuntimeEvent } from '../../src/core/events.ts'
import { applyEvent } from '../../src/state/apply-event.ts'
import type { Snapshot } from '../../src/state/snapshot.ts'
import { root } from './documents.ts'

type Frame = { type: 'snapshot'; data: Snapshot } | { type: 'events'; events: RuntimeEvent[] }

const read = (path: string): string => readFileSync(join(root, 'site', path), 'utf8')

test('the recording on the site is a whole demo, which the dashboard of today still understands', () => {
  const frames = (JSON.parse(read('replay/recording.json')) as { frame: Frame }[]).map(({ frame }) => frame)
  const [first, ...others] = frames
  if (first?.type !== 'snapshot') throw new Error('the recording does not begin with a snapshot')
  const events = others.flatMap((frame) => (frame.type === 'events' ? frame.events : []))
  const [agent] = Object.values(events.reduce(applyEvent, first.data).agents)
  expect(agent).toMatchObject({ state: 'completed', spent_usd: '45.9025', progress: { done: 100, total: 100 } })
})

test('every document is a page, and the navigation has those that docs/index.md lists', () => {
  execFileSync(process.execPath, [join(root, 'site/prepare.ts')], { stdio: ['ignore', 'ignore', 'inherit'] })
  const groups = JSON.parse(read('generated/navigation.json')) as { label: string; items: { slug: string }[] }[]
  expect(groups.map(({ label }) => label)).toEqual(['Tutorials', 'How to', 'Reference', 'Explanation', 'Change it'])
  const listed = groups.flatMap(({ items }) => items.map(({ slug }) => slug))
  const pages = readdirSync(join(root, 'site/src/content/docs'), { recursive: true, encoding: 'utf8' })
  const slugs = pages.filter((path) => /(?<!index)\.md$/.test(path)).map((path) => path.slice(0, -'.md'.length))
  expect(listed.sort()).toEqual(slugs.sort())
})

test('the site is built from pinned packages, whose lock file names no registry', () => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<string, Record<string, string>>
  for (const version of Object.values({ ...dependencies, ...devDependencies }))
    expect(version).toMatch(/^\d+\.\d+\.\d+$/)
  expect(read('package-lock.json')).not.toContain('"resolved"')
})
