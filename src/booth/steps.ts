/** The findings of the booth, as they are sent to the page. Free of Node. */
export type BoothStep =
  | { step: 'last_cent'; calls: number; limit_usd: string; answered: number; spent_usd: string; took_ms: number }
  | { step: 'naive'; calls: number; limit_usd: string; answered: number; spent_usd: string }
  | { step: 'sent'; pieces: string[] }
  | { step: 'received'; piece: string }
  | { step: 'killed'; pid: number; new_pid: number; before_usd: string; after_usd: string }
  | { step: 'flipped'; row: number; was: string; is: string; found_row: number | null; verdict: string }
  | { step: 'failed'; problem: string }
