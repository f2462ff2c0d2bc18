import { parseFrame, type ReportedUsage, type Sse, type StreamReader } from './dialect.ts'
import type { JsonObject } from './json.ts'
import type { StreamTexts } from './stream-texts.ts'

/** What the readers of all dialects have in common; each reads its own events. */
export abstract class TextStream implements StreamReader {
  isFinished = false
  errorStatus: number | undefined
  protected readonly texts: StreamTexts
  protected reported: ReportedUsage | undefined

  constructor(texts: StreamTexts) {
    this.texts = texts
  }

  get deliveredText(): string {
    return this.texts.delivered
  }

  usage(): ReportedUsage | undefined {
    return this.reported
  }

  read(frame: Sse): Sse[] {
    if (frame.data === '[DONE]') this.texts.addMark(frame)
    else this.readEvent(frame, parseFrame(frame))
    return this.texts.take()
  }

  end(): Sse[] {
    this.isFinished ||= this.isComplete
    if (this.isFinished) this.texts.end()
    return this.texts.take()
  }

  protected abstract readEvent(frame: Sse, event: JsonObject): void

  /** Whether the reply is complete although its last frame is missing. */
  protected get isComplete(): boolean {
    return false
  }
}
