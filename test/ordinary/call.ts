/** Sends the request of a case through a cage, reads the reply as the official SDKs do, and returns its faults. */
import { createParser } from 'eventsource-parser'
import type { CallCase } from './case.ts'
import type { CaseProvider } from './provider.ts'

export interface Cage {
  url: string
  /** Asks the server's API as an admin. */
  ask<Reply>(method: string, path: string, body?: object): Promise<Reply>
}

interface Result {
  status: number
  text: string
  /** Longest time in which nothing arrived, in ms. */
  maxGapMs: number
}

/** How long the server may take to write the charge of a call that has ended, in ms. */
const SETTLE_MS = 2_000
const TIMEOUT_MS = 20_000

export async function wrongsOf(one: CallCase, cage: Cage, provider: CaseProvider): Promise<string[]> {
  const { id, via = 'openai', request, trust = [], budget = '1000', times = 1, expect } = one
  const body = bodyOf(one)
  const model = body?.model ?? /models\/([^:]+):/.exec(request.path)?.[1]
  for (const name of [...(model ? [`${via}/${model}`] : []), ...trust]) {
    await cage.ask('POST', `/api/models/${encodeURIComponent(name)}/trust`)
  }
  const client = await cage.ask<{ token: string; agent_id: string }>('POST', '/api/tokens', {
    name: id.slice(0, 40),
    role: 'agent',
    budget_usd: budget,
  })
  let result: Result | undefined
  for (let sent = 0; sent < times; sent += 1) result = await send(one, body, client.token, cage)
  const { status, text, maxGapMs } = result!
  if (expect.orRefused && status === 403 && /price/.test(text)) return []
  const read = readReply(text)
  const cost = await costOf(client.agent_id, cage)
  const wrongs: string[] = []
  const require = (isRight: boolean, what: string) => void (isRight || wrongs.push(what))
  require([expect.status ?? status].flat().includes(status), `status ${status}: ${text.slice(0, 200)}`)
  require(read.text === (expect.text ?? read.text), `text ${JSON.stringify(read.text)}`)
  require(read.args === (expect.args ?? read.args), `arguments ${read.args}`)
  require(!expect.clean || read.error === undefined, `the stream has the error ${read.error}`)
  require(!expect.clean || expect.clean === 'open' || read.isDone, 'the stream has no end')
  for (const part of expect.has ?? []) require(text.includes(part), `${JSON.stringify(part)} is missing`)
  for (const part of expect.lacks ?? []) require(!text.includes(part), `${JSON.stringify(part)} is there`)
  for (const part of expect.sent ?? []) {
    require(provider
      .requestsOf(id)
      .some((sent) => sent.includes(part)), `${JSON.stringify(part)} does not reach the provider`)
  }
  const right = expect.cost ?? cost
  require(Math.abs(cost - right) <= (expect.within ?? 0.01) * right, `it costs $${cost} instead of $${right}`)
  require(cost <= (expect.costMax ?? cost), `it costs $${cost}, more than $${expect.costMax}`)
  require(cost >= (expect.costMin ?? cost), `it costs $${cost}, less than $${expect.costMin}`)
  require(maxGapMs <= (expect.maxGapMs ?? maxGapMs), `nothing arrives for ${maxGapMs} ms`)
  return wrongs
}

/** A model of its own, where any name will do: knowledge about it must not affect another case. */
function bodyOf({ id, via = '', request: { body, pad } }: CallCase): CallCase['request']['body'] {
  if (!body) return undefined
  const model = /^(house|litellm|zanthropic)/.test(via) ? `${body.model}--${id}` : body.model
  const padding = pad === undefined ? [] : [{ role: 'system', content: 'word '.repeat(pad / 5) }]
  return {
    ...body,
    ...(model !== undefined && { model }),
    ...(padding.length > 0 && { messages: [...padding, ...body.messages!] }),
  }
}

async function send(
  { via = 'openai', request, timeout = TIMEOUT_MS }: CallCase,
  body: object | undefined,
  token: string,
  cage: Cage,
): Promise<Result> {
  const keys = {
    anthropic: { 'x-api-key': token, 'anthropic-version': '2023-06-01' },
    google: { 'x-goog-api-key': token },
  }
  const reply = await fetch(`${cage.url}/gateway/${via}${request.path}`, {
    method: request.method ?? 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      ...keys[via as keyof typeof keys],
      ...request.headers,
    },
    body: request.bytes ? Buffer.from(request.bytes, 'base64') : body ? JSON.stringify(body) : null,
    signal: AbortSignal.timeout(timeout),
  })
  const decoder = new TextDecoder()
  let [text, maxGapMs, last] = ['', 0, performance.now()]
  for await (const chunk of reply.body ?? []) {
    maxGapMs = Math.max(maxGapMs, performance.now() - last)
    last = performance.now()
    text += decoder.decode(chunk as Uint8Array, { stream: true })
  }
  return { status: reply.status, text, maxGapMs }
}

/** Once no call is held any more. */
async function costOf(agentId: string, cage: Cage): Promise<number> {
  const until = performance.now() + SETTLE_MS
  for (;;) {
    const { calls } = await cage.ask<{ calls: { state: string; cost_usd: string | null }[] }>(
      'GET',
      `/api/agents/${agentId}/calls`,
    )
    if (calls.every(({ state }) => state !== 'held') || performance.now() > until) {
      return calls.reduce((sum, { cost_usd }) => sum + Number(cost_usd ?? 0), 0)
    }
  }
}

interface Read {
  text: string
  args: string
  isDone: boolean
  error?: string
}

// biome-ignore lint/suspicious/noExplicitAny: replies of any provider
type Loose = any

const textOf = (json: Loose): string =>
  json.choices?.map((one: Loose) => one.delta?.content ?? one.message?.content ?? one.text ?? '').join('') ??
  json.candidates?.flatMap((one: Loose) => (one.content?.parts ?? []).map((part: Loose) => part.text ?? '')).join('') ??
  (json.type === 'content_block_delta' ? json.delta.text : undefined) ??
  (/output_text\.delta$/.test(json.type ?? '') ? json.delta : undefined) ??
  (Array.isArray(json.content) ? json.content.map((one: Loose) => one.text ?? '').join('') : undefined) ??
  json.output?.flatMap?.((one: Loose) => (one.content ?? []).map((part: Loose) => part.text ?? '')).join('') ??
  ''

const argsOf = (json: Loose): string =>
  json.choices
    ?.flatMap((one: Loose) => [...(one.delta?.tool_calls ?? []), ...(one.message?.tool_calls ?? [])])
    .map((call: Loose) => call.function?.arguments ?? '')
    .join('') ??
  (json.type === 'content_block_delta' ? json.delta.partial_json : undefined) ??
  (/function_call_arguments\.delta$/.test(json.type ?? '') ? json.delta : '')

function readReply(text: string): Read {
  if (!/^\ufeff?(?:data|event|id|:)/m.test(text.slice(0, 200)) || text.startsWith('{')) return readWhole(text)
  const read: Read = { text: '', args: '', isDone: false }
  let isClosed = false
  const take = (data: string) => {
    if (isClosed || read.error !== undefined) return
    isClosed = data.startsWith('[DONE]')
    read.isDone ||= isClosed
    if (isClosed) return
    const json = JSON.parse(data) as Loose
    if (json.error || json.type === 'error') read.error = JSON.stringify(json.error ?? json)
    read.text += textOf(json)
    read.args += argsOf(json)
    const hasFinished = json.choices?.some?.((one: Loose) => one.finish_reason)
    if (hasFinished || /^(message_stop|response\.(completed|incomplete|failed))$/.test(json.type ?? ''))
      read.isDone = true
  }
  const parser = createParser({ onEvent: ({ data }) => take(data) })
  parser.feed(text)
  return read
}

function readWhole(text: string): Read {
  try {
    const json = JSON.parse(text) as Loose
    return { text: textOf(json), args: argsOf(json), isDone: true }
  } catch {
    return { text, args: '', isDone: true }
  }
}
