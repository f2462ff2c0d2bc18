/** Where a server's processor time goes: a profile of Node summed up in about ten groups. */
import { existsSync, readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { fileURLToPath } from 'node:url'

interface ProfileNode {
  id: number
  callFrame: { functionName: string; url: string; lineNumber: number; columnNumber: number }
  children?: number[]
  /** How often a sample met each line, counted from 1. */
  positionTicks?: { line: number; ticks: number }[]
}

interface Profile {
  nodes: ProfileNode[]
  /** Microseconds of the machine's clock, as all times here. */
  startTime: number
  samples: number[]
  timeDeltas: number[]
}

/**
 * The first that matches names the group of a function, by its name and the path of its source. What matches none (the
 * hashes of Node, its promises) belongs to who called it.
 */
const GROUPS: [group: string, pattern: RegExp][] = [
  ['', /^\(idle\)/],
  ['garbage collection', /^\(garbage collector\)/],
  ['SQLite', /better-sqlite3|drizzle-orm|src\/db\//],
  ['redaction', /src\/redaction\//],
  ['undici', /node_modules\/undici/],
  ['node:http and hono', /node:_http|node:internal\/http|node_modules\/(?:@hono|hono)\//],
  [
    'sockets and streams',
    /node:net|stream|^(?:write\w*|shutdown|readStart)\s|node:internal\/(?:webstreams|buffer)|node:buffer/,
  ],
  ['events, live view and log', /src\/(?:state|log|events|alerts|cli)|node_modules\/ws\//],
  ['budget and prices', /src\/(?:budget|money)|genai-prices|tokenizer/],
  ['gateway', /src\//],
]

/** A table: group, its share, the functions that use most of it. What was before `began` (microseconds) is left out. */
export function profileTable(file: string, began: number): string {
  const profile = JSON.parse(readFileSync(file, 'utf8')) as Profile
  const own = new Map<number, number>()
  let time = profile.startTime
  for (const [index, id] of profile.samples.entries()) {
    time += profile.timeDeltas[index]!
    if (time > began) own.set(id, (own.get(id) ?? 0) + profile.timeDeltas[index]!)
  }
  const parents = new Map<number, number>()
  for (const { id, children = [] } of profile.nodes) for (const child of children) parents.set(child, id)
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))

  const groups = new Map<string, { time: number; functions: Map<string, number> }>()
  let total = 0
  for (const node of profile.nodes) {
    const time = own.get(node.id) ?? 0
    const group = groupOf(node)
    if (time === 0 || group === '') continue
    const json = time * jsonShare(node)
    add('JSON', node, json)
    add(group, node, time - json)
  }
  function add(group: string, { callFrame }: ProfileNode, time: number): void {
    if (time === 0) return
    total += time
    const entry = groups.get(group) ?? { time: 0, functions: new Map<string, number>() }
    groups.set(group, entry)
    entry.time += time
    const name = callFrame.functionName || '(anonymous)'
    entry.functions.set(name, (entry.functions.get(name) ?? 0) + time)
  }

  const share = (time: number) => `${((time / total) * 100).toFixed(1)} %`
  return [...groups]
    .sort(([, a], [, b]) => b.time - a.time)
    .map(([group, { time, functions }]) => {
      const top = [...functions].sort(([, a], [, b]) => b - a).slice(0, 4)
      return `${group.padEnd(30)}${share(time).padStart(8)}   ${top.map(([name, most]) => `${name} ${share(most)}`).join(', ')}`
    })
    .join('\n')

  function groupOf(node: ProfileNode): string {
    for (let current: ProfileNode | undefined = node; current; current = nodes.get(parents.get(current.id) ?? -1)) {
      const place = `${current.callFrame.functionName} ${sourceOf(current.callFrame)}`
      const group = GROUPS.find(([, pattern]) => pattern.test(place))
      if (group) return group[0]
    }
    return 'the rest of Node'
  }
}

const lines = new Map<string, string[]>()

/** Which share of a function's own time is reading and writing JSON: that has no frame, so the lines that call it count. */
function jsonShare({ callFrame: { url }, positionTicks = [] }: ProfileNode): number {
  if (!url.startsWith('file:') || !existsSync(fileURLToPath(url))) return 0
  if (!lines.has(url)) lines.set(url, readFileSync(fileURLToPath(url), 'utf8').split('\n'))
  let all = 0
  let json = 0
  for (const { line, ticks } of positionTicks) {
    all += ticks
    if (/JSON\.(?:parse|stringify)\(/.test(lines.get(url)![line - 1] ?? '')) json += ticks
  }
  return all > 0 ? json / all : 0
}

const maps = new Map<string, SourceMap | undefined>()

/** The file a function was written in; the program is one bundle, so its map is asked. */
function sourceOf({ url, lineNumber, columnNumber }: ProfileNode['callFrame']): string {
  if (!url.startsWith('file:')) return url
  if (!maps.has(url)) {
    const map = `${fileURLToPath(url)}.map`
    maps.set(url, existsSync(map) ? new SourceMap(JSON.parse(readFileSync(map, 'utf8'))) : undefined)
  }
  const entry = maps.get(url)?.findEntry(lineNumber, columnNumber)
  return entry && 'originalSource' in entry ? entry.originalSource : url
}
