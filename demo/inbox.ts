/**
 * Receives the demo's alerts: a mail server and a webhook receiver on 127.0.0.1 that keep their messages, so that
 * "delivered" is true in the show.
 */
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'

export interface Inbox {
  /** `smtp://127.0.0.1:<port>` */
  smtpUrl: string
  /** `http://127.0.0.1:<port>/hook` */
  webhookUrl: string
  /** Whole messages, as sent. */
  mails: readonly string[]
  /** Bodies, as sent. */
  webhooks: readonly string[]
  close(): Promise<void>
}

export async function openInbox(): Promise<Inbox> {
  const mails: string[] = []
  const webhooks: string[] = []
  const sockets = new Set<Socket>()
  const smtp = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy())
    receiveMail(socket, (mail) => mails.push(mail))
  })
  const http = createHttpServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      webhooks.push(Buffer.concat(chunks).toString('utf8'))
      response.writeHead(204).end()
    })
  })
  const [smtpPort, httpPort] = await Promise.all([listen(smtp), listen(http)])
  return {
    smtpUrl: `smtp://127.0.0.1:${smtpPort}`,
    webhookUrl: `http://127.0.0.1:${httpPort}/hook`,
    mails,
    webhooks,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      http.closeAllConnections()
      await Promise.all([smtp, http].map((server) => new Promise((resolve) => server.close(resolve))))
    },
  }
}

/** The part of SMTP (RFC 5321) that one local sender needs. */
function receiveMail(socket: Socket, onMail: (mail: string) => void): void {
  let text = ''
  let isData = false
  socket.write('220 demo\r\n')
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    for (;;) {
      const end = text.indexOf(isData ? '\r\n.\r\n' : '\r\n')
      if (end < 0) return
      const part = text.slice(0, end)
      text = text.slice(end + (isData ? 5 : 2))
      if (isData) onMail(part)
      isData = !isData && /^DATA$/i.test(part)
      if (/^QUIT/i.test(part)) return void socket.end('221 bye\r\n')
      socket.write(isData ? '354 go on\r\n' : '250 ok\r\n')
    }
  })
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
