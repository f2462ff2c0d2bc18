/** The choice of a time range, kept in the address. */
import { address, setQuery } from '../address.ts'

/** In days, by name in the address; the one without a name is chosen at first. */
export type Ranges = Readonly<Record<string, number>> & { '': number }

export const RANGES: Ranges = { week: 7, '': 14, month: 30, quarter: 90 }

/** The number of days chosen. */
export const chosenDays = (ranges: Ranges): number => ranges[chosen()] ?? ranges['']

export const TimeRange = ({ ranges }: { ranges: Ranges }) => (
  <select
    aria-label="Time range"
    value={chosen()}
    onChange={({ currentTarget }) => setQuery('range', currentTarget.value)}
  >
    {Object.entries(ranges).map(([name, days]) => (
      <option key={name} value={name}>
        last {days} days
      </option>
    ))}
  </select>
)

const chosen = (): string => address.value?.query.get('range') ?? ''
