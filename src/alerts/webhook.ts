/**
 * Alerts by webhook: a JSON body that Slack and its likes show (`text`), signed by the Standard Webhooks scheme.
 *
 * The rules are:
 * - Nothing is sent to a link-local or metadata address, also when a name resolves to one; redirects are not followed.
 * - Only the status of the response counts; its body is never read.
 */
import { createHash, createHmac } from 'node:crypto'
import dns from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { isLinkLocal } from '../config/addresses.ts'
import type { Clock } from '../core/clock.ts'
import { openAgent } from '../core/http-pools.ts'
import { agentText, type Channel, type SentAlert, Undeliverable } from './channel.ts'

interface Webhook {
  url: string
  secret?: string | undefined
}

interface WebhookOptions<Kind extends string> {
  /** Of the channel. */
  name: string
  kinds: readonly Kind[]
  clock: Clock
  /** The kind of an address that nothing is sent to; undefined for the others. (Default: link-local ones.) */
  refuse?: (address: string) => string | undefined
}

export const webhookChannel = <Kind extends string>(
  webhook: Webhook,
  { name, kinds, clock, refuse = refuseLinkLocal }: WebhookOptions<Kind>,
): Channel<Kind> => ({
  name,
  kinds,
  deliver: (alert, signal) => post(webhook, alert, { now: clock.now(), signal, refuse }),
})

/** `kindsOf`: the kinds of alerts that a webhook with these events receives. */
export const webhookChannels = <Event extends string, Kind extends string>(
  webhooks: readonly (Webhook & { events?: readonly Event[] | undefined })[],
  clock: Clock,
  kindsOf: (events: readonly Event[] | undefined) => readonly Kind[],
): Channel<Kind>[] =>
  webhooks.map((webhook) =>
    webhookChannel(webhook, { name: nameOf(webhook, webhooks), kinds: kindsOf(webhook.events), clock }),
  )

const refuseLinkLocal = (address: string): string | undefined =>
  isLinkLocal(address) ? 'a link-local or metadata address' : undefined

/** Names the host, never the path, which is a secret at Slack. Two on one host differ by a hash of the URL. */
function nameOf({ url }: Webhook, all: readonly Webhook[]): string {
  const host = hostOf(url)
  const alone = all.filter((other) => hostOf(other.url) === host).length === 1
  return `webhook ${host}${alone ? '' : ` #${createHash('sha256').update(url).digest('hex').slice(0, 6)}`}`
}

export const hostOf = (url: string): string => new URL(url).host

async function post(
  { url, secret }: Webhook,
  alert: SentAlert<string>,
  { now, signal, refuse }: { now: number; signal: AbortSignal; refuse: (address: string) => string | undefined },
): Promise<void> {
  const { origin, hostname, pathname, search } = new URL(url)
  const literal = hostname.replace(/^\[|\]$/g, '')
  // No name is looked up then.
  const refusal = isIP(literal) ? refuse(literal) : undefined
  if (refusal !== undefined) throw new Undeliverable(`${literal} is ${refusal}`)
  const body = JSON.stringify(payloadOf(alert))
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'iron-cage',
    ...(secret ? signatureHeaders(secret, alert.id, now, body) : {}),
  }
  // One HTTP agent per delivery: destroying it ends the connection, even if the receiver still sends.
  const agent = openAgent({ connect: { lookup: safeLookup(refuse) } })
  try {
    const { statusCode } = await agent.request({
      method: 'POST',
      origin,
      path: pathname + search,
      headers,
      body,
      signal,
    })
    if (statusCode < 200 || statusCode > 299) throw new Error(`it answered ${statusCode}`)
  } finally {
    await agent.destroy()
  }
}

/** The public payload. */
function payloadOf(alert: SentAlert<string>) {
  const { id, at, agent_id, agent_name, kind, level, title, detail, organization } = alert
  const agent = agentText(alert)
  const about = organization === undefined ? agent && `Agent ${agent}` : `Organization ${organization}`
  const text = slackText(`${title}\n${detail}${about ? `\n${about}` : ''}`)
  return { text, kind, level, title, detail, agent_id, agent_name, at, alert_id: id, organization }
}

/** Slack reads `<…>` as links and mentions; an agent's text must not notify a whole channel. */
const slackText = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** The id is the same for each attempt, so that the receiver can recognize a second copy. */
function signatureHeaders(secret: string, id: string, now: number, body: string): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000))
  // The scheme writes its keys as "whsec_" and base64; any other text is the key itself.
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : secret
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
}

/** The addresses of a name are checked here, at each delivery. */
const safeLookup =
  (refuse: (address: string) => string | undefined): LookupFunction =>
  (hostname, options, callback) => {
    dns.lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '')
      for (const { address } of addresses) {
        const refusal = refuse(address)
        if (refusal === undefined) continue
        return callback(new Undeliverable(`its name resolves to ${address}, ${refusal}`), '')
      }
      if (options.all) return callback(null, addresses)
      callback(null, addresses[0]!.address, addresses[0]!.family)
    })
  }
