/** Alerts by e-mail, plain text over SMTP. */
import type { Config } from '../config/schema.ts'
import type { AlertRow } from '../db/outbox.ts'
import type { AlertKind } from '../events.ts'
import type { Channel } from './outbox.ts'

/** The alerts that are sent by e-mail; all of them reach the dashboard and the webhooks. */
const KINDS: readonly AlertKind[] = ['budget_warning', 'budget_exhausted', 'model_refused', 'crash_loop', 'test']

export function emailChannel({ to, from, smtp_url }: NonNullable<Config['alerts']['email']>): Channel {
  return {
    name: 'e-mail',
    kinds: KINDS,
    async deliver(alert, signal) {
      // Loaded on first use: most servers never send an e-mail.
      const { createTransport } = await import('nodemailer')
      // A hanging server may never close its side, so this is not awaited.
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

/** nodemailer replaces line breaks in headers by blanks, so no title can inject a header. */
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
