/** Exchange number so and so: its dialect follows from the seed as all else does. */
import { anthropic } from './dialects/anthropic.ts'
import { chat } from './dialects/chat.ts'
import { cohere } from './dialects/cohere.ts'
import { google } from './dialects/google.ts'
import { ollama } from './dialects/ollama.ts'
import { responses } from './dialects/responses.ts'
import { Dice } from './dice.ts'
import type { Exchange } from './exchange.ts'

export const DIALECTS = { chat, responses, anthropic, google, ollama, cohere }
export type OracleDialect = keyof typeof DIALECTS

export function exchangeOf(seed: number, dialect?: OracleDialect): Exchange {
  const dice = new Dice(seed)
  const chosen = dice.pick(Object.keys(DIALECTS) as OracleDialect[])
  return DIALECTS[dialect ?? chosen](dice, seed)
}
