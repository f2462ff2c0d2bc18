/** Hostile requests: an ordinary one with fields removed, renamed, retyped, nested, or added. */
import type { Json, JsonObject } from '../../../src/dialects/json.ts'
import type { Dice } from '../dice.ts'
import { ordinaryRequest } from './ordinary.ts'
import { type AgentRequest, isRecord } from './request.ts'

/** Names that mean something in one dialect or another. */
const NAMES = (
  'id type role content text data url uri file_id fileId fileUri file_url image_url input_audio source parts name summary ' +
  'encrypted_content output arguments action status item_reference conversation prompt previous_response_id ' +
  'cachedContent prediction context_management container audio video tools max_output_tokens unknown_field'
).split(' ')

const VALUES: readonly Json[] = [
  null,
  true,
  'true',
  '',
  'msg_0123456789abcdef',
  'https://x.example/file.pdf',
  7,
  [],
  {},
  { id: 'rs_0123456789abcdef' },
  { type: 'item_reference', id: 'msg_0123456789abcdef' },
  { id: 'msg_0123456789abcdef' },
  { type: 'reasoning', id: 'rs_0123456789abcdef', summary: [] },
  { type: 'web_search_call', id: 'ws_0123456789abcdef' },
  { fileData: { mimeType: 'audio/mp3', fileUri: 'https://x.example/a' } },
  { inlineData: { mimeType: 'video/mp4', data: 'AAAA' } },
  { type: 'bash_20250124', name: 'bash' },
  { type: 'content', content: 'What it may say. '.repeat(40) },
]

/** A request with one to four changes. */
export function hostileRequest(dice: Dice): AgentRequest {
  const { dialect, body } = ordinaryRequest(dice)
  let changed = body
  for (let left = dice.number(1, 4); left > 0; left--) changed = change(changed, dice) as JsonObject
  return { dialect, body: { ...changed, model: body.model ?? null } }
}

/** Changes a value somewhere within. */
function change(value: Json, dice: Dice): Json {
  if (Array.isArray(value)) {
    if (value.length === 0 || dice.chance(0.15)) return [...value, dice.pick(VALUES)]
    const at = dice.number(0, value.length - 1)
    return value.map((item, index) => (index === at ? inside(item, dice) : item))
  }
  if (!isRecord(value)) return dice.pick(VALUES)
  const names = Object.keys(value)
  if (names.length === 0 || dice.chance(0.12)) return { ...value, [dice.pick(NAMES)]: dice.pick(VALUES) }
  const name = dice.pick(names)
  const { [name]: item, ...rest } = value
  if (dice.chance(0.15)) return rest
  if (dice.chance(0.1)) return { ...rest, [dice.pick(NAMES)]: item ?? null }
  return { ...value, [name]: inside(item ?? null, dice) }
}

function inside(item: Json, dice: Dice): Json {
  if (typeof item === 'object' && item !== null && dice.chance(0.8)) return change(item, dice)
  const roll = dice.next()
  if (roll < 0.6) return dice.pick(VALUES)
  return roll < 0.8 ? [item] : { [dice.pick(NAMES)]: item }
}
