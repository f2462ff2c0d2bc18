/** Bedrock's InvokeModel, for Anthropic's models. */
import { CageError } from '../../core/errors.ts'
import { messagesAt } from '../anthropic/elsewhere.ts'
import type { Format } from '../dialect.ts'

function invoking(name: string, isStream: boolean): Format {
  const format = messagesAt(name, isStream)
  return {
    ...format,

    readCall(body) {
      const call = format.readCall(body)
      if (ANTHROPIC.test(call.model)) return call
      throw new CageError('price_unknown', `what ${call.model} reads and writes in this format cannot be counted`, {
        facts: { model: call.model },
        hint: 'call it with Converse',
      })
    },
  }
}

const ANTHROPIC = /(^|\.)(anthropic\.)?claude-/

export const invoke = invoking('invoke', false)
export const invokeStream = invoking('invoke-with-response-stream', true)
