/**
 * Alerts by webhook: a JSON body that Slack and its likes show (`text`), signed by the Standard Webhooks scheme.
 *
 * The rules are:
 * - The address comes from the configuration, but what its name resolves to does not: link-local and metadata addresses
 *   are refused after the look-up, and redirects are not followed.
 * - Of the answer only the status counts; its body is never read.
 */
import { createHash, createHmac } from 'node:crypto'
import { lookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { Agent, request } from 'undici'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import type { AlertRow } from '../db/outbox.ts'
import { type Channel, Undeliverable } from './outbox.ts'
import { ALERT_KINDS, SOURCES } from './wording.ts'

type WebhookConfig = Config['alerts']['webhooks'][number]

export const webhookChannels = (webhooks: readonly WebhookConfig[], clock: Clock): Channel[] =>
  webhooks.map((webhook) => ({
    name: nameOf(webhook, webhooks),
    kinds: ALERT_KINDS.filter((kind) => webhook.events?.includes(SOURCES[kind]) ?? true),
    deliver: (alert, signal) => post(webhook, alert, clock.now(), signal),
  }))

/** Names the host, never the path: that is a secret at Slack. Two on one host differ by a hash of the address. */
function nameOf({ url }: WebhookConfig, all: readonly WebhookConfig[]): string {
  const { host } = new URL(url)
  const alone = all.filter((other) => new URL(other.url).host === host).length === 1
  return `webhook ${host}${alone ? '' : ` #${createHash('sha256').update(url).digest('hex').slice(0, 6)}`}`
}

async function post({ url, secret }: WebhookConfig, alert: AlertRow, now: number, signal: AbortSignal): Promise<void> {
  const body = JSON.stringify(payloadOf(alert))
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'iron-cage',
    ...(secret ? signatureHeaders(secret, alert.id, now, body) : {}),
  }
  refuseLiteral(url)
  // An agent per delivery: destroying it ends the connection, whatever the other side still wants to send.
  const agent = new Agent({ connect: { lookup: safeLookup } })
  try {
    const answer = await request(url, { method: 'POST', headers, body, dispatcher: agent, signal })
    answer.body.on('error', () => {})
    if (answer.statusCode < 200 || answer.statusCode > 299) throw new Error(`it answered ${answer.statusCode}`)
  } finally {
    await agent.destroy()
  }
}

/** The public shape. */
const payloadOf = ({ id, at, agent_id, kind, level, title, detail }: AlertRow) => ({
  text: slackText(`${title}\n${detail}${agent_id ? `\nAgent ${agent_id}` : ''}`),
  kind,
  level,
  title,
  detail,
  agent_id,
  at,
  alert_id: id,
})

/** Slack reads `<…>` as links and mentions; an agent's words must not call a whole channel. */
const slackText = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** The id is the same for each attempt, so that the receiver can tell a second copy. */
function signatureHeaders(secret: string, id: string, now: number, body: string): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000))
  // The scheme writes its keys as "whsec_" and base64; any other text is the key itself.
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : secret
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
}

/** Link-local addresses, where clouds keep their metadata, and the metadata addresses that lie elsewhere. */
const REFUSED = new BlockList()
REFUSED.addSubnet('169.254.0.0', 16, 'ipv4')
REFUSED.addSubnet('fe80::', 10, 'ipv6')
REFUSED.addAddress('100.100.100.200', 'ipv4')
REFUSED.addAddress('168.63.129.16', 'ipv4')
REFUSED.addAddress('192.0.0.192', 'ipv4')
REFUSED.addAddress('fd00:ec2::254', 'ipv6')
// The same IPv4 addresses behind a NAT64 gateway.
REFUSED.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6')

const isRefused = (address: string): boolean => REFUSED.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

/** An address written as digits is not looked up, so it is judged here. */
function refuseLiteral(url: string): void {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) && isRefused(host)) throw new Undeliverable(refusal(host))
}

const safeLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, '')
    const refused = addresses.find(({ address }) => isRefused(address))
    if (refused) return callback(new Undeliverable(refusal(refused.address)), '')
    if (options.all) return callback(null, addresses)
    callback(null, addresses[0]!.address, addresses[0]!.family)
  })
}

const refusal = (address: string): string => `${address} is a link-local or metadata address, nothing is sent there`
