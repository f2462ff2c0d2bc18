// The bill of materials of a release.
import { Enums, Models, Serialize, Spec } from '@cyclonedx/cyclonedx-library'
import { innerParts } from './inner-parts.mjs'

/**
 * The packages as a CycloneDX document, each with its own contents: Node with V8, OpenSSL and its other parts. No time
 * and no serial number, so that two builds are equal.
 */
export function billOfMaterials(version, packages) {
  const bom = new Models.Bom()
  bom.metadata.component = new Models.Component(Enums.ComponentType.Application, 'iron-cage', {
    version,
    bomRef: `iron-cage@${version}`,
  })
  const inner = innerParts()
  for (const { name, version, license } of packages) {
    const purl = name === 'node' ? `pkg:generic/${name}@${version}` : `pkg:npm/${name.replace('@', '%40')}@${version}`
    const component = componentOf({ name, version, license, purl })
    for (const part of inner[name] ?? []) component.components.add(componentOf(part, `${name}/`))
    bom.components.add(component)
  }
  const normalize = new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6)
  return `${new Serialize.JsonSerializer(normalize).serialize(bom, { sortLists: true, space: 2 })}\n`
}

function componentOf({ name, version, license, purl }, within = '') {
  const bomRef = `${within}${name}${version ? `@${version}` : ''}`
  const component = new Models.Component(Enums.ComponentType.Library, name, { version, bomRef })
  component.licenses.add(licenseOf(license))
  component.purl = purl
  return component
}

function licenseOf(license) {
  if (license === null) return new Models.NamedLicense('unknown')
  return license.includes(' ') ? new Models.LicenseExpression(license) : new Models.SpdxLicense(license)
}
