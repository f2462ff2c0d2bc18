/**
 * Replies, streams and requests of any shape with something in them that must not pass: an e-mail address, a secret of the
 * vault or a token of ours, at any leaf or as the name of a field, whole or cut into pieces anywhere. Each case is made
 * from its number alone.
 */
import { isObject, type Json, type JsonObject } from '../../src/dialects/json.ts'

export type Random = () => number

/** Numbers from 0 to 1, always the same for the same seed (mulberry32). */
export function randomOf(seed: number): Random {
  let state = (seed + 1) * 0x9e3779b9
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export const pick = <T>(random: Random, items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
const below = (random: Random, limit: number): number => Math.floor(random() * limit)

const WORDS =
  'text note summary output result title url query data items value content detail citations search_results extra meta deep action filename stdout diff id item_id name type status model reason finish_reason signature annotations logprobs token path step message caption transcript arguments input parts'.split(
    ' ',
  )

/** Unknown JSON, with the canary at one place. */
function invented(random: Random, canary: string, depth = 0): Json {
  const kind = depth > 3 ? 0 : below(random, 5)
  if (kind === 1) return [invented(random, canary, depth + 1)]
  if (kind === 2) return { [pick(random, WORDS)]: invented(random, canary, depth + 1), [pick(random, WORDS)]: 1 }
  if (kind === 3) return { [canary]: pick<Json>(random, [true, 7, 'x', null]) }
  if (kind === 4) return [{ type: pick(random, WORDS), [pick(random, WORDS)]: canary }, 'x']
  return pick(random, [canary, `${canary}`, ` ${canary} `, `Write to ${canary}.`, `"${canary}"`])
}

type Place = { holder: JsonObject; name: string } | { holder: Json[]; name: number }

function placesIn(value: Json, places: Place[] = []): Place[] {
  if (Array.isArray(value)) {
    value.forEach((item, name) => {
      places.push({ holder: value, name })
      placesIn(item, places)
    })
  } else if (isObject(value)) {
    for (const name of Object.keys(value)) {
      places.push({ holder: value, name })
      placesIn(value[name]!, places)
    }
  }
  return places
}

const clone = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

/** The value with the canary somewhere in it. */
export function plant<T extends Json>(random: Random, value: T, canary: string): T {
  const planted = clone(value)
  const objects = [planted, ...placesIn(planted).map(({ holder, name }) => (holder as JsonObject)[name]!)].filter(
    (item) => typeof item === 'object' && item !== null,
  )
  if (random() < 0.5) {
    const target = pick(random, objects)
    if (Array.isArray(target)) target.push(invented(random, canary))
    else (target as JsonObject)[random() < 0.2 ? canary : pick(random, WORDS)] = invented(random, canary)
    return planted
  }
  const leaves = placesIn(planted).filter(({ holder, name }) => typeof (holder as JsonObject)[name] === 'string')
  const { holder, name } = pick(random, leaves) as { holder: JsonObject; name: string }
  holder[name] = invented(random, canary, 3)
  return planted
}

/** The text in one to four pieces. */
export function cut(random: Random, text: string): string[] {
  const cuts = [...Array(below(random, 4))].map(() => 1 + below(random, text.length - 1)).sort((a, b) => a - b)
  return [0, ...cuts].map((from, index) => text.slice(from, cuts[index] ?? text.length)).filter(Boolean)
}

/**
 * The frames of a stream with the canary in one of them, or cut over several of the same shape, with others between.
 * Frames may be of unknown kinds.
 */
export function plantInStream(random: Random, frames: readonly JsonObject[], canary: string): JsonObject[] {
  const planted = clone(frames) as JsonObject[]
  const at = below(random, planted.length)
  if (random() < 0.3) {
    planted[at] = plant(random, planted[at]!, canary)
    return planted
  }
  const like = random() < 0.35 ? inventedFrame(random) : clone(planted[at]!)
  const leaves = placesIn(like).filter(({ holder, name }) => typeof (holder as JsonObject)[name] === 'string')
  const paths = leaves.filter(({ name }) => name !== 'type')
  const path = pick(random, paths.length > 0 && random() < 0.9 ? paths : leaves)
  const pieces = cut(random, random() < 0.5 ? canary : `See ${canary}, then go on.`)
  const copies = pieces.map((piece) => {
    const { holder, name } = path as { holder: JsonObject; name: string }
    holder[name] = piece
    if (random() < 0.2) (like as JsonObject).item_id = `item_${below(random, 1_000)}`
    return clone(like)
  })
  const between = random() < 0.3 ? [clone(pick(random, frames)) as JsonObject] : []
  const spread = copies.flatMap((copy, index) => (index < copies.length - 1 ? [copy, ...between] : [copy]))
  planted.splice(at, random() < 0.5 ? 1 : 0, ...spread)
  return planted
}

const inventedFrame = (random: Random): JsonObject => ({
  type: pick(random, [
    'response.new_thing.delta',
    'response.new_thing',
    'new_thing',
    'content_block_delta',
    'x.progress',
  ]),
  [pick(random, WORDS)]: { [pick(random, WORDS)]: 'x', [pick(random, WORDS)]: ['y', { [pick(random, WORDS)]: 'z' }] },
  ...(random() < 0.5 ? { output_index: 0, index: 0 } : {}),
  ...(random() < 0.5 ? { delta: { type: 'new_delta', [pick(random, WORDS)]: 'x' } } : {}),
  ...(random() < 0.3
    ? {
        choices: [
          { index: 0, delta: { [pick(random, WORDS)]: 'x' }, finish_reason: pick(random, ['', false, 'stop']) },
        ],
      }
    : {}),
})

/**
 * Every text and every name of a field in frames: alone, and at each path one after the other, as a client joins them.
 * `isTyped`: frames of different types are different texts.
 */
export function textsIn(frames: readonly Json[], isTyped = false): string[] {
  const texts: string[] = []
  const paths = new Map<string, string>()
  const gather = (value: Json | undefined, path: string): void => {
    if (typeof value === 'string' || typeof value === 'number') {
      texts.push(String(value))
      paths.set(path, (paths.get(path) ?? '') + String(value))
    } else if (Array.isArray(value)) for (const [at, item] of value.entries()) gather(item, `${path}/${at}`)
    else if (isObject(value)) {
      for (const [name, item] of Object.entries(value)) {
        texts.push(name)
        gather(item, `${path}/${name}`)
      }
    }
  }
  for (const frame of frames) gather(frame, isTyped && isObject(frame) ? String(frame.type) : '')
  return [...texts, ...paths.values()]
}
