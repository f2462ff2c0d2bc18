/** Where a server's processor time goes: profiles of Node summed up in about ten groups, side by side. */
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
  ['SQLite', /better-sqlite3|drizzle-orm|src\/db\/|ideal-ledger/],
  ['redaction', /src\/redaction\//],
  ['undici', /node_modules\/undici/],
  ['node:http and hono', /node:_http|node:internal\/http|node_modules\/(?:@hono|hono)\//],
  [
    'sockets and streams',
    /node:net|stream|^(?:write\w*|shutdown|readStart)\s|node:internal\/(?:webstreams|buffer)|node:buffer/,
  ],
  ['events, live view and log', /src\/(?:state|log|events|alerts|cli)|node_modules\/ws\//],
  ['budget and prices', /src\/(?:budget|money)|genai-prices|tokenizer/],
  ['gateway', /src\/|bench\/ideal/],
]

/** A share of the time, and the functions that use most of it. */
export interface Part {
  share: number
  top: [name: string, share: number][]
}

/** Returns the parts of a profile by group. Samples before `began` (microseconds) are left out. */
export function profileParts(file: string, began: number): Map<string, Part> {
  const profile = JSON.parse(readFileSync(file, 'utf8')) as Profile
  const own = ownTimes(profile, began)
  const parents = new Map<number, number>()
  for (const { id, children = [] } of profile.nodes) for (const child of children) parents.set(child, id)
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const groups = new Map<string, Map<string, number>>()
  let total = 0
  const add = (group: string, { callFrame }: ProfileNode, time: number) => {
    total += time
    const functions = groups.get(group) ?? new Map<string, number>()
    groups.set(group, functions)
    const name = callFrame.functionName || '(anonymous)'
    functions.set(name, (functions.get(name) ?? 0) + time)
  }
  for (const node of profile.nodes) {
    const time = own.get(node.id) ?? 0
    const group = groupOf(node, nodes, parents)
    if (time === 0 || group === '') continue
    const json = time * jsonShare(node)
    if (json > 0) add('JSON', node, json)
    if (json < time) add(group, node, time - json)
  }
  return new Map([...groups].map(([group, functions]) => [group, partOf(functions, total)]))
}

/** Microseconds in each node itself. */
function ownTimes({ startTime, samples, timeDeltas }: Profile, began: number): Map<number, number> {
  const own = new Map<number, number>()
  let time = startTime
  for (const [index, id] of samples.entries()) {
    time += timeDeltas[index]!
    if (time > began) own.set(id, (own.get(id) ?? 0) + timeDeltas[index]!)
  }
  return own
}

function partOf(functions: ReadonlyMap<string, number>, total: number): Part {
  const sorted = [...functions].sort(([, a], [, b]) => b - a)
  const share = sorted.reduce((sum, [, time]) => sum + time, 0) / total
  return { share, top: sorted.slice(0, 3).map(([name, time]) => [name, time / total]) }
}

function groupOf(
  node: ProfileNode,
  nodes: ReadonlyMap<number, ProfileNode>,
  parents: ReadonlyMap<number, number>,
): string {
  for (let current: ProfileNode | undefined = node; current; current = nodes.get(parents.get(current.id) ?? -1)) {
    const place = `${current.callFrame.functionName} ${sourceOf(current.callFrame)}`
    const group = GROUPS.find(([, pattern]) => pattern.test(place))
    if (group) return group[0]
  }
  return 'the rest of Node'
}

/** One server's figures for the table. */
export interface Profiled {
  name: string
  parts: ReadonlyMap<string, Part>
  /** Processor time a call: of the thread that answers, and of V8's threads. */
  mainMs: number
  otherMs: number
}

/** A table of microseconds a call by part; the first server is the one explained. */
export function profileTable(servers: readonly [Profiled, ...Profiled[]]): string {
  const [explained] = servers
  const micros = (ms: number) => (ms * 1000).toFixed(0).padStart(12)
  const row = (name: string, cells: string[], more = '') => `${name.padEnd(30)}${cells.join('')}   ${more}`.trimEnd()
  const groups = [...explained.parts].sort(([, a], [, b]) => b.share - a.share)
  return [
    row(
      'microseconds a call',
      servers.map(({ name }) => name.padStart(12)),
    ),
    ...groups.map(([group, { top }]) =>
      row(
        group,
        servers.map(({ parts, mainMs }) => micros((parts.get(group)?.share ?? 0) * mainMs)),
        top.map(([name, share]) => `${name} ${(share * explained.mainMs * 1000).toFixed(0)}`).join(', '),
      ),
    ),
    row(
      "V8's threads",
      servers.map(({ otherMs }) => micros(otherMs)),
      'garbage collection and compiling',
    ),
    row(
      'all',
      servers.map(({ mainMs, otherMs }) => micros(mainMs + otherMs)),
    ),
  ].join('\n')
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
