/**
 * The outside world of the demo: OpenAI, LinkedIn and Clearbit as one small HTTP server on 127.0.0.1. The configuration
 * points at it by `providers.openai.base_url` and `services.*.base_url`; the program itself does not know.
 *
 * The rules are:
 * - A reply depends on the request only, never on the order of requests: the prompt or the query names the company. A
 *   restarted agent gets the same replies again.
 * - leads.csv (`trigger_type`) defines what goes wrong: a missing field, personal data, LinkedIn's outage.
 * - Only those triggers produce an e-mail address or a telephone number.
 */
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  chatChunks,
  chatCompletion,
  chatFrames,
  openScriptedProvider,
  sendJson,
} from '../src/booth/scripted-provider.ts'

export interface Lead {
  id: number
  company: string
  domain: string
  industry: string
  employees: number
  linkedinUrl: string
  contactEmail: string
  trigger: string
}

export interface WorldOptions {
  leads: readonly Lead[]
  /** From this lead on LinkedIn answers 429. (Default: the lead with the trigger `linkedin_down`.) */
  failFromLead?: number
  /** From this lead on LinkedIn answers again. (Default: never.) */
  recoverFromLead?: number
  /** The `Retry-After` of LinkedIn's 429. (Default: 1800.) */
  retryAfterS?: number
  /** Approximate latency; varies by request, the same each time. (Default: 0.) */
  latencyMs?: number
}

export type WorldService = 'openai' | 'linkedin' | 'clearbit'

/** One request as the world received it. */
export interface WorldRequest {
  service: WorldService
  /** The lead it was about, or null. */
  lead: number | null
  status: number
  /** The requested model; null for a service. */
  model: string | null
  /** The bearer token of the request. */
  key: string | null
}

export interface World {
  port: number
  /** `http://127.0.0.1:<port>`; below it `/openai/v1`, `/linkedin` and `/clearbit`. */
  url: string
  /** Every request so far, oldest first. */
  requests: readonly WorldRequest[]
  /** The keys that OpenAI accepts, checked when a request arrives. (Initially empty: every key is accepted.) */
  keys: Set<string>
  /** Number of requests to a service, for one lead or for all. */
  count(service: WorldService, lead?: number): number
  close(): Promise<void>
}

/** The usage that a model reports for the two sizes of prompt that the demo's agent sends. */
const PROMPT_SIZES = [
  { prompt_tokens: 3_000, completion_tokens: 500 },
  { prompt_tokens: 6_000, completion_tokens: 1_000 },
] as const

/** Of gpt-4 tokens in the agent's prompts; the test measures it with the real tokenizer. */
const CHARACTERS_PER_TOKEN = 4.6

export async function startWorld(options: WorldOptions): Promise<World> {
  const requests: WorldRequest[] = []
  const keys = new Set<string>()
  const server = await openScriptedProvider((request, body, response) =>
    answer(request, body, response, options, requests, keys),
  )
  return {
    ...server,
    requests,
    keys,
    count: (service, lead) =>
      requests.filter((one) => one.service === service && (lead === undefined || one.lead === lead)).length,
  }
}

async function answer(
  request: IncomingMessage,
  body: string,
  response: ServerResponse,
  options: WorldOptions,
  requests: WorldRequest[],
  keys: ReadonlySet<string>,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://world')
  const key = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? null
  const isKnown = keys.size === 0 || (key !== null && keys.has(key))
  response.setHeader('x-request-id', `req_world_${requests.length + 1}`)
  const route = `${request.method} ${url.pathname}`
  if (route === 'POST /openai/v1/chat/completions') {
    const call = parseChat(body)
    const lead = call && findLead(options.leads, /^Domain: (\S+)$/m.exec(call.prompt)?.[1])
    requests.push({
      service: 'openai',
      lead: lead?.id ?? null,
      status: !isKnown ? 401 : call ? 200 : 400,
      model: call?.model ?? null,
      key,
    })
    await wait(options, `openai ${lead?.id} ${call?.prompt.length}`)
    if (!isKnown) return sendJson(response, 401, openAiError('Incorrect API key provided'))
    return call ? answerChat(response, call, lead) : sendJson(response, 400, openAiError('the body is not a chat'))
  }
  const lead = findLead(options.leads, url.searchParams.get('domain'))
  if (route === `GET /linkedin${LINKEDIN_PATH}`) {
    const down = lead !== undefined && isLinkedinDown(lead, options)
    const status = lead ? (down ? 429 : 200) : 404
    requests.push({ service: 'linkedin', lead: lead?.id ?? null, status, model: null, key })
    await wait(options, `linkedin ${lead?.id}`)
    if (down) response.setHeader('retry-after', String(options.retryAfterS ?? 1800))
    const profile =
      lead && !down ? linkedinProfile(lead) : { status, message: down ? 'Rate limit exceeded' : 'Not found' }
    return sendJson(response, status, profile)
  }
  if (route === `GET /clearbit${CLEARBIT_PATH}`) {
    const status = lead ? 200 : 404
    requests.push({ service: 'clearbit', lead: lead?.id ?? null, status, model: null, key })
    await wait(options, `clearbit ${lead?.id}`)
    return sendJson(response, status, lead ? clearbitFigures(lead) : { error: { type: 'unknown_record' } })
  }
  return sendJson(response, 404, openAiError(`there is no ${route} in this world`))
}

function isLinkedinDown(lead: Lead, { leads, failFromLead, recoverFromLead }: WorldOptions): boolean {
  const from = failFromLead ?? leads.find(({ trigger }) => trigger === 'linkedin_down')?.id ?? Number.POSITIVE_INFINITY
  return lead.id >= from && lead.id < (recoverFromLead ?? Number.POSITIVE_INFINITY)
}

// --- leads -----------------------------------------------------------------------------------------------------------

/** Reads leads.csv. Its values hold neither commas nor quotes. */
export function readLeads(path: string): Lead[] {
  const [header, ...rows] = readFileSync(path, 'utf8').trimEnd().split('\n')
  const names = header?.split(',') ?? []
  return rows.map((row) => {
    const values = row.split(',')
    const field = (name: string) => values[names.indexOf(name)] ?? ''
    return {
      id: Number(field('lead_id')),
      company: field('company_name'),
      domain: field('domain'),
      industry: field('industry'),
      employees: Number(field('employee_count')),
      linkedinUrl: field('linkedin_url'),
      contactEmail: field('contact_email'),
      trigger: field('trigger_type'),
    }
  })
}

const findLead = (leads: readonly Lead[], domain: string | null | undefined): Lead | undefined =>
  leads.find((lead) => lead.domain === domain)

// --- LinkedIn and Clearbit -------------------------------------------------------------------------------------------

const LINKEDIN_PATH = '/v2/companies'
const CLEARBIT_PATH = '/v1/companies/find'

/** Path and query of the agent's one request for a company, below the base URL of the service. */
export const linkedinRequest = (lead: Lead): string => `${LINKEDIN_PATH}?domain=${encodeURIComponent(lead.domain)}`

/** The JSON body of LinkedIn's reply to `linkedinRequest(lead)`. */
export function linkedinProfile(lead: Lead): object {
  const posts = Array.from({ length: 12 }, (_, month) => ({
    month: `${2026 - Math.floor(month / 12)}-${String(12 - (month % 12)).padStart(2, '0')}`,
    text: prose(POSTS, lead, `post ${month}`, 4),
  }))
  return {
    name: lead.company,
    domain: lead.domain,
    url: lead.linkedinUrl,
    industry: lead.industry,
    employee_count: lead.employees,
    founded: 1960 + pick(`founded ${lead.id}`, 60),
    headquarters: PLACES[pick(`place ${lead.id}`, PLACES.length)],
    about: prose(POSTS, lead, 'about', 6),
    posts,
  }
}

/** The JSON body of Clearbit's reply for a company. */
export function clearbitFigures(lead: Lead): object {
  return {
    name: lead.company,
    domain: lead.domain,
    metrics: { employees: lead.employees, estimated_annual_revenue_usd: lead.employees * 140_000, raised_usd: null },
    category: { sector: lead.industry, type: lead.employees > 1000 ? 'enterprise' : 'mid-market' },
    tech: ['Google Workspace', 'Salesforce', 'Zendesk', 'Snowflake', 'Slack'].slice(pick(`tech ${lead.id}`, 3)),
    location: PLACES[pick(`place ${lead.id}`, PLACES.length)],
  }
}

// --- OpenAI ----------------------------------------------------------------------------------------------------------

interface ChatCall {
  model: string
  /** The text of all messages. */
  prompt: string
  stream: boolean
  includeUsage: boolean
}

function parseChat(body: string): ChatCall | undefined {
  try {
    const { model, messages, stream, stream_options } = JSON.parse(body) as {
      model: string
      messages: { content: string | { text?: string }[] | null }[]
      stream?: boolean
      stream_options?: { include_usage?: boolean }
    }
    const prompt = messages
      .map(({ content }) =>
        Array.isArray(content) ? content.map((part) => part.text ?? '').join('') : (content ?? ''),
      )
      .join('\n')
    return { model, prompt, stream: stream === true, includeUsage: stream_options?.include_usage === true }
  } catch {
    return undefined
  }
}

async function answerChat(response: ServerResponse, call: ChatCall, lead: Lead | undefined): Promise<void> {
  const text = lead ? replyAbout(lead, call.prompt) : 'This is the simulated world speaking.'
  const usage = usageOf(call.prompt, text)
  const id = `chatcmpl-world-${hash(call.prompt).toString(36)}`
  const pieces = text.match(/[\s\S]{1,24}/gu) ?? []
  const chat = { id, created: Math.floor(Date.now() / 1000), model: call.model, pieces, usage }
  if (!call.stream) return sendJson(response, 200, chatCompletion(chat))
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const frames = chatFrames(chatChunks({ ...chat, usage: call.includeUsage ? usage : undefined }))
  for (const frame of frames) response.write(frame)
  response.end()
}

/** A prompt of a known size has exactly the usage of the demo's arithmetic; any other is estimated by length. */
function usageOf(prompt: string, reply: string) {
  const tokens = Math.ceil(prompt.length / CHARACTERS_PER_TOKEN)
  const size = PROMPT_SIZES.find(({ prompt_tokens }) => Math.abs(tokens / prompt_tokens - 1) < 0.2)
  const prompt_tokens = size?.prompt_tokens ?? tokens
  const completion_tokens = size?.completion_tokens ?? Math.ceil(reply.length / CHARACTERS_PER_TOKEN)
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
}

/** The model's reply about a company: notes, and in the last reading the judgment as a JSON object. */
function replyAbout(lead: Lead, prompt: string): string {
  const [, number = '1', of = '1'] = /Reading (\d+) of (\d+)/.exec(prompt) ?? []
  const isLast = number === of
  // The personal data comes in the middle reading, which may be the only one.
  const datum = Number(number) === Math.ceil(Number(of) / 2) ? datumOf(lead) : ''
  const text = prose(NOTES, lead, `reading ${number}`, of === '1' ? 21 : 43) + datum
  if (!isLast) return text
  const missing = lead.trigger === 'missing_field'
  return JSON.stringify({
    summary: text,
    fit_score: 35 + pick(`fit ${lead.id}`, 56),
    decision_maker: ['head of operations', 'head of field service', 'chief financial officer'][
      pick(`who ${lead.id}`, 3)
    ],
    ...(missing ? {} : { next_step: 'Offer a pilot in one region for six weeks, with the planner of that region.' }),
  })
}

/** The personal data of a lead that has some. */
function datumOf(lead: Lead): string {
  if (lead.trigger === 'pii_email') return ` The page of the company names a contact: ${lead.contactEmail}.`
  if (lead.trigger === 'pii_phone') return ' The page of the company names a number for enquiries: (415) 555-0178.'
  return ''
}

// --- text ------------------------------------------------------------------------------------------------------------

/** `count` sentences about a company; the same for the same topic. */
function prose(sentences: readonly string[], lead: Lead, topic: string, count: number): string {
  const first = pick(`${topic} ${lead.id}`, sentences.length)
  return Array.from({ length: count }, (_, index) =>
    // A step without a common divisor with the number of sentences visits them all.
    sentences[(first + 5 * index) % sentences.length]!.replace(/\{(\w+)\}/g, (_match, name: string) =>
      name === 'company'
        ? lead.company
        : name === 'industry'
          ? lead.industry.toLowerCase()
          : PLACES[pick(`${topic} ${lead.id} ${index}`, PLACES.length)]!,
    ),
  ).join(' ')
}

const PLACES = [
  'Leeds',
  'Ghent',
  'Porto',
  'Malmo',
  'Turin',
  'Graz',
  'Cork',
  'Lyon',
  'Utrecht',
  'Bilbao',
  'Aarhus',
  'Brno',
]

const POSTS = [
  'We opened a new site near {place} this month, and the first crews have started to work from there.',
  'Our {industry} team met in {place} for two days to plan the season and to say goodbye to an old colleague.',
  '{company} is hiring: we look for planners, technicians and people who like to talk to customers in {place}.',
  'A customer in {place} told us how much faster a visit is arranged since we changed the way we answer requests.',
  'Thank you to everyone who came to our open day in {place}; it was good to see so many families.',
  'The new warehouse in {place} shortens the way of a spare part to the customer by almost half a day.',
  'We published our report on safety at work, with fewer accidents than in any year since {company} was founded.',
  'Our head of operations spoke about planning across regions at the {industry} conference in {place}.',
  'Eleven apprentices began their training with us in {place}; welcome, and please ask a lot of questions.',
  '{company} took over the service contracts of a smaller company in {place}, and its people stay with us.',
  'From next spring all vans of our crews in {place} will be electric; the first ones arrived last week.',
  'What does good {industry} work look like in ten years? Our team in {place} wrote down what it expects.',
] as const

const NOTES = [
  'The profile says that {company} opened a site near {place}, which is a sign of growth in more than one region.',
  'The archive mentions that appointments in {place} are still moved by telephone, so planning is done by hand.',
  'Two planners are being looked for in {place}; the work grows faster than the present tools allow.',
  'Clearbit gives a size that agrees with the profile in its order of magnitude, and nothing contradicts it.',
  'The present contract runs until the end of next year, and three months of notice are needed to leave it.',
  'A pilot with a competitor failed because the import of the customer list never worked; that is a chance.',
  'Purchasing in {place} asked for references from {industry} and was satisfied with what it got.',
  'The new head of operations knows the product from an earlier company, which the archive says and nothing else does.',
  'Whether the budget for tools is available this year is not known; the archive speaks of a delay of two quarters.',
  'Technicians leave {place} without the right part about one time in six, which costs {company} a second visit.',
  'The works council has to agree, and it meets four times a year in {place}, so a decision takes a season.',
  'An internal survey puts planning third among the reasons to leave, but it was only shown by a partner.',
  'Travel times around {place} are a third longer than elsewhere, and nobody at {company} can say why.',
] as const

const pick = (seed: string, count: number): number => hash(seed) % count

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  return value >>> 0
}

// --- HTTP ------------------------------------------------------------------------------------------------------------

const openAiError = (message: string) => ({
  error: { message, type: 'invalid_request_error', param: null, code: null },
})

/** Between half and twice `latencyMs`, mostly near the lower end, like real networks. */
async function wait({ latencyMs = 0 }: WorldOptions, seed: string): Promise<void> {
  if (latencyMs > 0) await sleep(latencyMs * (0.5 + 1.5 * (pick(seed, 1000) / 1000) ** 3))
}
