import { render } from 'preact'
import { App } from './app.tsx'
import { stayConnected } from './connection.ts'
import { openSession } from './session.ts'

render(<App />, document.body)
await openSession()
await stayConnected()
