/**
 * The provider of the tasks: answers the first turn with the call of a tool, and the turn with its result with a text;
 * reads the second one partly from its cache, and adds up its bill.
 */
import type { ToolCall } from '../../test/conformance/turn.ts'
import { FakeProvider, type Received, type Script, sends } from '../../test/support/provider.ts'
import { answers } from './answers.ts'

/** Those of claude-haiku-4-5, in nanodollars a token: LiteLLM's proxy reports a cost at its own list, and the larger one is charged. */
export const PRICES = { input: 1_000, cached: 100, output: 5_000 }
/** The result of each client's tool, and the model's answer to it. */
export const RESULT = '4 degrees in Oslo'
export const FINAL = 'Oslo has 4 degrees.'
/** As Google signs the thoughts before a call: without it, to the letter, the next turn is refused. */
const SIGNATURE = Buffer.from('what the model thought, for its eyes alone '.repeat(9)).toString('base64')

/** A client's tool, and its arguments. */
export interface Tool {
  name: string
  input: object
}

/** Its path ends with one of these. */
const FORMATS = /\/(chat\/completions|messages|responses)$/

export class TaskProvider {
  billedNanos = 0
  requests = 0
  readonly #tool: Tool
  /** Its answer to a request without tools, such as an edit of a file. */
  readonly #plain: string
  readonly #provider: FakeProvider

  private constructor(provider: FakeProvider, tool: Tool, plain: string) {
    this.#provider = provider
    this.#tool = tool
    this.#plain = plain
    provider.does((response, received) => this.#scriptFor(received)(response, received))
  }

  static async open(tool: Tool, plain = 'Hello.'): Promise<TaskProvider> {
    return new TaskProvider(await FakeProvider.open(), tool, plain)
  }

  get url(): string {
    return this.#provider.url
  }

  close(): void {
    void this.#provider.close()
  }

  #scriptFor({ url, body }: Received): Script {
    if (!FORMATS.test(url.split('?', 1)[0]!) || body === '') return refuses(404, 'not found')
    const isSecond = body.includes(RESULT)
    if (isSecond && body.includes('extra_content') && !body.includes(SIGNATURE)) {
      return refuses(400, 'Corrupted thought signature.')
    }
    const used = { input: isSecond ? 20 : 10, cached: isSecond ? 8 : 0, output: 12 }
    this.requests += 1
    this.billedNanos +=
      (used.input - used.cached) * PRICES.input + used.cached * PRICES.cached + used.output * PRICES.output
    const { tools = [] } = JSON.parse(body) as { tools?: object[] }
    const hasTool = JSON.stringify(tools).includes(`"${this.#tool.name}"`)
    if (hasTool && !isSecond) return answers({ calls: [callOf(this.#tool)], used })
    return answers({ text: pieces(isSecond ? FINAL : this.#plain), used })
  }
}

const pieces = (whole: string): string[] => whole.match(/.{1,7}/gs) ?? []

const callOf = ({ name, input }: Tool): ToolCall => ({
  name,
  arguments: pieces(JSON.stringify(input)),
  beside: { extra_content: { google: { thought_signature: SIGNATURE } } },
})

const refuses = (status: number, message: string): Script =>
  sends(status, { 'content-type': 'application/json' }, { error: { message } })
