/** Alerts by e-mail, plain text over SMTP. */
import { agentText, type Channel, type SentAlert } from './channel.ts'

interface Mail {
  to: readonly string[]
  from: string
  smtp_url: string
}

export function emailChannel<Kind extends string>({ to, from, smtp_url }: Mail, kinds: readonly Kind[]): Channel<Kind> {
  return {
    name: 'e-mail',
    kinds,
    async deliver(alert, signal) {
      // Loaded on first use: most servers never send an e-mail.
      const { createTransport } = await import('nodemailer')
      // A hanging server may never close its side, so this is not awaited.
      await createTransport({ url: smtp_url, socketCloseTimeout: 0 })
        .sendMail({
          from,
          to: [...to],
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
const subjectOf = ({ title, agent_id, agent_name }: SentAlert<string>): string =>
  `[Iron Cage] ${title}${agent_id ? ` (${agent_name ?? agent_id})` : ''}`.slice(0, 200)

const textOf = (alert: SentAlert<string>): string =>
  [
    alert.title,
    '',
    alert.detail,
    '',
    alert.organization === undefined ? `Agent: ${agentText(alert) ?? 'none'}` : `Organization: ${alert.organization}`,
    `At: ${alert.at}`,
    `Alert: ${alert.id}`,
    '',
  ].join('\n')

/** The server's own message may repeat addresses, so only its status and the kind of fault are reported. */
function reasonOf(cause: unknown): string {
  const { code, responseCode } = cause as { code?: string; responseCode?: number }
  if (responseCode) return `the SMTP server answered ${responseCode}`
  return `the SMTP server cannot be used (${code ?? 'unknown fault'})`
}
