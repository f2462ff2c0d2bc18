import { VERSION } from './version.ts'

/** What `iron-cage` prints without a command: three things to try next. */
export const welcome: readonly string[] = [
  `Iron Cage ${VERSION}: a hard budget, no personal data and one screen for your AI agent.`,
  '',
  '  iron-cage demo                          watch an agent work through 100 leads; no key, no network',
  '  iron-cage start agent.py --budget 5     run your own agent, which cannot spend more than $5',
  '  iron-cage doctor                        is this machine ready, and what would not be guarded',
  '',
  'iron-cage --help lists every command.',
]
