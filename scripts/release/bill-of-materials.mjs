// The bill of materials of a release.
import { Enums, Models, Serialize, Spec } from '@cyclonedx/cyclonedx-library'
import Database from 'better-sqlite3'

/**
 * The packages as a CycloneDX document, with what is inside the native ones: SQLite. No time and no serial number, so
 * that two builds are equal.
 */
export function billOfMaterials(version, packages) {
  const bom = new Models.Bom()
  bom.metadata.component = new Models.Component(Enums.ComponentType.Application, 'iron-cage', {
    version,
    bomRef: `iron-cage@${version}`,
  })
  for (const { name, version, license } of [...packages, sqlite()]) {
    const library = new Models.Component(Enums.ComponentType.Library, name, { version, bomRef: `${name}@${version}` })
    library.licenses.add(new Models.SpdxLicense(license))
    library.purl = name === 'node' || name === 'sqlite' ? `pkg:generic/${name}@${version}` : npmUrl(name, version)
    bom.components.add(library)
  }
  const normalize = new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6)
  return `${new Serialize.JsonSerializer(normalize).serialize(bom, { sortLists: true, space: 2 })}\n`
}

const npmUrl = (name, version) => `pkg:npm/${name.replace('@', '%40')}@${version}`

function sqlite() {
  const version = new Database(':memory:').prepare('SELECT sqlite_version()').pluck().get()
  return { name: 'sqlite', version, license: 'blessing' }
}
