/** A provider for the booth: it answers any chat, whole or streamed, and remembers its replies. Loopback only. */
import type { Clock } from '../core/clock.ts'
import { chatChunks, chatCompletion, chatFrames, openScriptedProvider, sendJson } from './scripted-provider.ts'

export interface BoothProvider {
  /** http://127.0.0.1:port/v1 */
  url: string
  /** Calls answered so far. */
  answered(): number
  /** The pieces of the last streamed answer, as they were sent. */
  pieces: readonly string[]
  close(): void
}

/** Long enough that calls run at the same time, in ms. */
const ANSWER_MS = 40
const PIECE_MS = 120
/** Where the pieces end is where simple filters fail. */
const PIECES = ['Sure! Write to ce', 'o@ac', 'me.c', 'om, or call 415-', '555-', '0123', ' before noon.']

export async function openBoothProvider(clock: Pick<Clock, 'sleep'>): Promise<BoothProvider> {
  let answered = 0
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
  const { url, close } = await openScriptedProvider(async (_request, body, response) => {
    answered++
    const { stream } = JSON.parse(body) as { stream?: boolean }
    if (!stream) {
      await clock.sleep(ANSWER_MS)
      return sendJson(response, 200, chatCompletion({ model: 'booth', pieces: ['ok'], usage }))
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const frame of chatFrames(chatChunks({ model: 'booth', pieces: PIECES, usage }))) {
      response.write(frame)
      if (frame.includes('"delta":{"content"')) await clock.sleep(PIECE_MS)
    }
    response.end()
  })
  return { url: `${url}/v1`, answered: () => answered, pieces: PIECES, close: () => void close() }
}
