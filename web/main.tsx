import './base.css'
import { render } from 'preact'
import { App } from './app.tsx'
import { stayConnected } from './connection.ts'
import { isShared, reportedAgent } from './pages/report-page.tsx'
import { openSession } from './session.ts'
import { restoreTheme } from './theme.ts'

restoreTheme()
render(<App />, document.body)
if (!isShared()) {
  await openSession()
  // The page of a report is not live: it shows the state at the time it is opened.
  if (!reportedAgent()) stayConnected()
}
