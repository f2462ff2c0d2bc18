/** `demo --fail`. */
import { expect, test } from 'vitest'
import { withFailures } from '../../demo/failures.ts'
import { type Lead, readLeads } from '../../demo/world.ts'

const leads = readLeads(new URL('../../demo/leads.csv', import.meta.url).pathname)
const at = (of: readonly Lead[], trigger: string) => of.filter((lead) => lead.trigger === trigger).map(({ id }) => id)

test('a failure happens at the lead that was named; the outage of LinkedIn moves, personal data is added', () => {
  const changed = withFailures(leads, 'lead=40:linkedin,lead=70:phone')
  expect(at(leads, 'linkedin_down')).toEqual([34])
  expect(at(changed, 'linkedin_down')).toEqual([40])
  expect(at(changed, 'pii_phone')).toEqual([...at(leads, 'pii_phone'), 70].sort((one, other) => one - other))
  expect(at(withFailures(leads, 'lead=70:phone'), 'linkedin_down')).toEqual([34])
})

test.each(['', 'lead=40', 'lead=0:linkedin', 'lead=101:email', 'lead=4:constructor', '40:email'])(
  '"%s" is refused with an example',
  (failure) => {
    expect(() => withFailures(leads, failure)).toThrow(
      expect.objectContaining({ code: 'usage', hint: 'try --fail lead=40:linkedin' }),
    )
  },
)
