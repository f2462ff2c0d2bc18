/** A model's text in one answer, for any provider. */
import { hash } from 'node:crypto'

export interface ToolCall {
  name: string
  /** The arguments' JSON, in the pieces in which it is streamed. */
  arguments: string[]
  /** Sent beside it in chat completions, as it is. (Default: nothing.) */
  beside?: object
}

export interface Turn {
  /** In the pieces in which it is streamed. */
  text?: string[]
  /** All at once: parallel calls. */
  calls?: ToolCall[]
  /** A model's earlier thoughts, signed; Anthropic's dialect only. */
  thinking?: string[]
  /** In tokens; `cached` of the input ones. (Default: USED.) */
  used?: { input: number; output: number; cached?: number }
}

/** The provider's signature of thinking: a block that comes back with another text is refused. */
export const signatureOf = (thinking: string): string => hash('sha512', thinking, 'base64')

export const SIGNATURE =
  'EqoBCkgIARABGAIiQL2UoU0b1OHYi+yCHpBY7U6FQW8/FcoLewocJQPa2HnmLM+NECy50y44F/kD4SULFXi57buI9fAvyBwtyjlOiO0='
export const REDACTED_THINKING = 'EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpP'

/** The cost of an answer by its provider's count, in tokens. */
export const USED = { input: 10, output: 5 }
