/** Alerts by e-mail, plain text over SMTP. */
import type { Config } from '../config/schema.ts'
import type { AlertRow } from '../db/outbox.ts'
import type { AlertKind } from '../events.ts'
import type { Channel } from './outbox.ts'

/** What is worth a mail; the rest is seen on the dashboard and sent to webhooks. */
const KINDS: readonly AlertKind[] = ['budget_warning', 'budget_exhausted', 'model_refused', 'crash_loop', 'test']

export function emailChannel({ to, from, smtp_url }: NonNullable<Config['alerts']['email']>): Channel {
  return {
    name: 'e-mail',
    kinds: KINDS,
    async deliver(alert, signal) {
      // Loaded at first use: most servers never send one.
      const { createTransport } = await import('nodemailer')
      // A server that hangs may also never close its side, so we do not wait for that.
      await createTransport({ url: smtp_url, socketCloseTimeout: 0 })
        .sendMail({
          from,
          to,
          subject: subjectOf(alert),
          text: textOf(alert),
          // The same for each attempt, so that a mailbox can recognize a second copy.
          messageId: `<${alert.id}@iron-cage>`,
          signal,
        })
        .catch((cause: unknown) => {
          throw new Error(reasonOf(cause), { cause })
        })
    },
  }
}

/** nodemailer writes a line break in a header as a blank, so no title can start a header of its own. */
const subjectOf = ({ title, agent_id }: AlertRow): string =>
  `[Iron Cage] ${title}${agent_id ? ` (${agent_id})` : ''}`.slice(0, 200)

const textOf = ({ id, at, agent_id, title, detail }: AlertRow): string =>
  [title, '', detail, '', `Agent: ${agent_id ?? 'none'}`, `At: ${at}`, `Alert: ${id}`, ''].join('\n')

/** The server's own message may repeat addresses, so only its status and the kind of fault are reported. */
function reasonOf(cause: unknown): string {
  const { code, responseCode } = cause as { code?: string; responseCode?: number }
  if (responseCode) return `the SMTP server answered ${responseCode}`
  return `the SMTP server cannot be used (${code ?? 'unknown fault'})`
}
