/** The gateway's own observations of the frames of a streamed response, before its dialect reads them. */
import type { Sse, StreamReader } from '../../dialects/dialect.ts'
import { type Json, parseReplyJson } from '../../dialects/json.ts'
import { AskedCalls } from '../limits/tool-calls.ts'

/** Receives the data of each frame. */
export type FrameWatcher = (data: string) => void

/** Wraps a reader; each frame goes to the watchers first. */
export function watchFrames(reader: StreamReader, watchers: readonly FrameWatcher[]): StreamReader {
  return {
    read: (frame: Sse) => {
      for (const watch of watchers) watch(frame.data)
      return reader.read(frame)
    },
    end: () => reader.end(),
    usage: () => reader.usage(),
    get isFinished() {
      return reader.isFinished
    },
    get errorStatus() {
      return reader.errorStatus
    },
    get deliveredText() {
      return reader.deliveredText
    },
  }
}

/** Calls `onNamed` once, with the first model that a frame names. */
export function modelWatcher(onNamed: (model: string) => void): FrameWatcher {
  let isNamed = false
  return (data) => {
    const match = isNamed ? null : MODEL_IN_FRAME.exec(data)
    const name = match?.[1] ?? match?.[2]
    if (name === undefined) return
    isNamed = true
    onNamed(name)
  }
}

/** Also matches within the response or message of a first event; Google's name for it follows the text. */
const MODEL_IN_FRAME = /^[^[]{0,2000}?"model"\s*:\s*"([^"\\]{1,200})"|"modelVersion"\s*:\s*"([^"\\]{1,200})"/

/** Calls `onAsked` with the names of the tools that a frame asks to call. */
export function toolWatcher(onAsked: (names: string[]) => void): FrameWatcher {
  const calls = new AskedCalls()
  return (data) => {
    if (MAY_CALL.test(data)) onAsked(calls.read(parsed(data)))
  }
}

const MAY_CALL = /tool_?use|_calls?"|function_?call/i

/** Null for text that is not JSON, which the reader refuses. */
function parsed(data: string): Json {
  try {
    return parseReplyJson(data) as Json
  } catch {
    return null
  }
}
