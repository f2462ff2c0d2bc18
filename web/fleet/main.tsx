/** The page of a Control Panel, read again every second. */
import '../base.css'
import { render } from 'preact'
import { openSession } from '../session.ts'
import { restoreTheme } from '../theme.ts'
import { FleetPage, refresh } from './fleet-page.tsx'
import { redeemAddress } from './provider-sign-in.tsx'

const REFRESH_MS = 1_000

restoreTheme()
render(<FleetPage />, document.body)
await openSession(redeemAddress)
await refresh()
setInterval(() => void refresh(), REFRESH_MS)
