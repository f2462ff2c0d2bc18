/** The page in the address. */
import { address } from './address.ts'
import { Dashboard } from './dashboard/dashboard.tsx'
import { ApiPage } from './pages/api-page.tsx'
import { isShared, ReportPage, reportedAgent, SharedReport } from './pages/report-page.tsx'
import { SignIn } from './pages/sign-in.tsx'
import { Empty } from './parts/parts.tsx'
import { session } from './session.ts'
import { heardAt } from './store.ts'

export function App() {
  if (isShared()) return <SharedReport />
  if (session.value === 'starting') return null
  if (session.value !== 'open') {
    return (
      <SignIn title="Sign in to Iron Cage">
        <p>
          Open the link that <code>iron-cage start</code>, <code>serve</code> or <code>demo</code> prints. To get a new
          link, in the folder where it was started:
        </p>
        <pre>iron-cage status{'\n'}iron-cage status --db iron_demo.db # of the demo</pre>
      </SignIn>
    )
  }
  const reported = reportedAgent()
  if (reported) return <ReportPage agentId={reported} />
  if (address.value?.page === 'api') return <ApiPage />
  if (heardAt.value === null) return <Empty title="Connecting …" />
  return <Dashboard />
}
