/** The way to the pages of a Control Panel, and who is signed in. */

import { Action } from '../parts/parts.tsx'
import { Top } from '../parts/shell.tsx'
import { isAdmin, personName, signOut } from '../session.ts'
import './fleet-header.css'

/** `page`: of the address. `admin`: only admins see it. */
const PAGES: readonly { page: string; href: string; title: string; admin?: true }[] = [
  { page: 'agents', href: '#/', title: 'Fleet' },
  { page: 'spending', href: '#/spending', title: 'Spending' },
  { page: 'incidents', href: '#/incidents', title: 'Incidents' },
  { page: 'secrets', href: '#/secrets', title: 'Secrets' },
  { page: 'alerts', href: '#/alerts', title: 'Alerts', admin: true },
  { page: 'audit', href: '#/audit', title: 'Audit', admin: true },
  { page: 'people', href: '#/people', title: 'People', admin: true },
]

export const FleetHeader = ({ organization, current }: { organization: string | undefined; current: string }) => (
  <Top title={titleOf(organization)} home="the fleet">
    <nav class="pages" aria-label="Pages">
      {PAGES.filter(({ admin }) => !admin || isAdmin.value).map(({ page, href, title }) => (
        <a key={page} class="btn ghost" href={href} aria-current={page === current ? 'page' : undefined}>
          {title}
        </a>
      ))}
    </nav>
    <span class="space" />
    <span class="pill">{personName.value}</span>
    <Action label="Sign out" kind="ghost" act={signOut} />
  </Top>
)

/** The first organization of a panel has no name. */
const titleOf = (organization: string | undefined): string =>
  organization === undefined || organization === 'default' ? 'Control Panel' : organization
