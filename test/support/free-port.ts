/**
 * A port that is free on both loopback addresses and stays so: below those that the system hands out, so that no other
 * test takes it meanwhile.
 */
import { createServer } from 'node:net'

const [FIRST, COUNT] = [10_000, 20_000]

export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT)
    if ((await isFree('127.0.0.1', port)) && (await isFree('::1', port))) return port
  }
}

const isFree = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    // A machine without IPv6 has no listener there.
    server.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'EADDRINUSE'))
    server.listen({ host, port }, () => server.close(() => resolve(true)))
  })
