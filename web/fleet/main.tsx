/** The page of a Control Panel, read again every second. */
import '../base.css'
import { render } from 'preact'
import { openSession } from '../session.ts'
import { restoreTheme } from '../theme.ts'
import { FleetPage, refresh } from './fleet-page.tsx'

const REFRESH_MS = 1_000

restoreTheme()
render(<FleetPage />, document.body)
await openSession()
await refresh()
setInterval(() => void refresh(), REFRESH_MS)
