import { PII, type PiiType } from '../../src/core/pii-types.ts'
import { Tag } from './parts.tsx'

/** What kind of personal data was found, and its risk. */
export const Found = ({ type }: { type: PiiType }) => (
  <>
    <Tag tone={PII[type].risk === 'HIGH' ? 'bad' : 'warn'}>{PII[type].risk}</Tag> {PII[type].title}
  </>
)
