/** The network between one machine and the panels: connects to any panel that answers, and can be cut. */
import { connect, createServer, type Socket } from 'node:net'

export interface Link {
  url: string
  /** Breaks every connection, and refuses new ones until `mend`. */
  cut(): void
  mend(): void
  close(): void
}

/** `ports`: of the panels; `roundTripMs`: the time of the way. (Default: nothing.) */
export async function openLink(ports: readonly number[], roundTripMs = 0): Promise<Link> {
  const sockets = new Set<Socket>()
  let isCut = false
  let turn = 0
  const server = createServer((client) => {
    if (isCut) return void client.destroy()
    const join = (left: number): void => {
      const panel = connect(ports[turn++ % ports.length]!, '127.0.0.1')
      panel.once('connect', () => {
        forward(client, panel, roundTripMs / 2)
        forward(panel, client, roundTripMs / 2)
        for (const socket of [client, panel]) {
          sockets.add(socket)
          socket.on('error', () => socket.destroy())
          socket.once('close', () => {
            sockets.delete(socket)
            client.destroy()
            panel.destroy()
          })
        }
      })
      panel.once('error', () => (left > 0 ? join(left - 1) : client.destroy()))
    }
    client.on('error', () => client.destroy())
    join(ports.length)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const breakAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${port}`,
    cut: () => {
      isCut = true
      breakAll()
    },
    mend: () => {
      isCut = false
    },
    close: () => {
      server.close()
      breakAll()
    },
  }
}

/** In order, each piece after `delayMs`. */
function forward(from: Socket, to: Socket, delayMs: number): void {
  if (delayMs === 0) return void from.pipe(to)
  from.on('data', (chunk: Buffer) => setTimeout(() => to.writable && to.write(chunk), delayMs))
  from.once('end', () => setTimeout(() => to.end(), delayMs))
}
