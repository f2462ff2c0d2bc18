import type { Attributes } from '../../otel/span.ts'

/** The attributes that distinguish a machine from the others of this panel, for a collector of OpenTelemetry. */
export const resourceOf = ({
  runtime_id,
  name,
  organization,
}: {
  runtime_id: string
  name: string
  organization: string
}): Attributes => ({
  'service.instance.id': runtime_id,
  'iron_cage.runtime.name': name,
  'iron_cage.organization': organization,
})
