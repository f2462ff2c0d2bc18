/** The way out of agents. */
import * as z from 'zod'
import type { Egress } from '../egress/open-egress.ts'
import { type Route, routesOf } from '../http/route.ts'

const route = routesOf('Egress')

export const egressRoutes = ({ egress }: { egress: Pick<Egress, 'authority'> }): Route[] => [
  route('GET /api/egress/ca', {
    role: 'viewer',
    summary: 'Returns the certificate authority that agents of this server trust. It exists until the server ends.',
    reply: () =>
      z.object({
        certificate: z.string().describe('PEM.'),
        fingerprint: z.string().describe('SHA-256 of the certificate.'),
        public_key: z.string().describe('SHA-256 of the public key in Base64, as browsers pin it.'),
      }),
    handle: async () => {
      const { certificate, fingerprint, publicKeyHash } = await egress.authority()
      return { certificate, fingerprint, public_key: publicKeyHash }
    },
  }),
]
