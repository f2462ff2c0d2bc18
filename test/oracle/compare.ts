/** The two views of a client, without the cage and in it, and their differences. */
import { createParser } from 'eventsource-parser'
import type { OracleCage } from './cage.ts'
import type { Exchange } from './exchange.ts'

export interface Difference {
  seed: number
  provider: string
  liberties: string[]
  what: string
  bare: string
  caged: string
}

interface Seen {
  status: number
  /** Comments are marked, frames are event and data. */
  body: string[]
  callId: string | null
}

/** Compares exchanges; `conclude` compares the costs, once all are through. */
export class Comparison {
  readonly differences: Difference[] = []
  readonly #provider: string
  readonly #cage: OracleCage
  readonly #costs = new Map<string, Exchange>()

  constructor(provider: string, cage: OracleCage) {
    this.#provider = provider
    this.#cage = cage
  }

  async compare(exchange: Exchange): Promise<void> {
    const { token, url } = this.#cage
    const [bare, caged] = await Promise.all([
      see(exchange, this.#provider, {}),
      see(exchange, `${url}/gateway/${exchange.provider}`, { authorization: `Bearer ${token}` }),
    ])
    if (caged.callId && exchange.cost !== undefined) this.#costs.set(caged.callId, exchange)
    const at = bare.body.findIndex((line, index) => line !== caged.body[index])
    if (bare.status !== caged.status)
      this.#note(exchange, 'status', String(bare.status), `${caged.status} ${caged.body[0]}`)
    else if (at >= 0) this.#note(exchange, `frame ${at}`, bare.body[at]!, String(caged.body[at]))
    else if (caged.body.length > bare.body.length) {
      this.#note(exchange, 'further frame', '', caged.body[bare.body.length]!)
    }
    if (this.#costs.size >= 500) await this.conclude()
  }

  async conclude(): Promise<void> {
    const costs = [...this.#costs]
    this.#costs.clear()
    const charges = await this.#cage.charges()
    for (const [id, exchange] of costs) {
      const charged = charges.get(id)
      if (charged !== undefined && charged !== exchange.cost) {
        this.#note(exchange, 'cost in nanodollars', String(exchange.cost), String(charged))
      }
    }
  }

  #note({ seed, provider, liberties }: Exchange, what: string, bare: string, caged: string): void {
    const cut = (text: string) => text.slice(0, 400)
    this.differences.push({ seed, provider, liberties, what, bare: cut(bare), caged: cut(caged) })
  }
}

async function see(
  { path, body, framing, headers }: Exchange,
  base: string,
  own: Record<string, string>,
): Promise<Seen> {
  const reply = await fetch(base + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers, ...own },
    body: JSON.stringify(body),
  })
  const text = await reply.text()
  return {
    status: reply.status,
    body: framing === 'sse' ? framesOf(text) : framing === 'lines' ? text.split('\n') : [text],
    callId: reply.headers.get('x-iron-cage-call-id'),
  }
}

/** Comments that the cage writes while it waits are no difference. */
function framesOf(text: string): string[] {
  const frames: string[] = []
  const parser = createParser({
    onEvent: ({ event, data }) => void frames.push(`${event ?? ''} ${data}`),
    onComment: (comment) => void (comment.trim() === 'keep-alive' || frames.push(`: ${comment}`)),
  })
  parser.feed(text)
  return frames
}
