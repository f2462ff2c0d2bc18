import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The slowest files, independent of their size, as measured: last, it would be waited for alone. */
const LONGEST = [
  'test/python/sdk',
  'test/examples.',
  'test/packaging/schemathesis',
  'test/conformance/conformance',
  'test/packaging/release',
  'test/documents/tutorials',
  'test/demo.',
  'test/browser/panels',
  'test/vault/rotation.',
  'test/python/sandbox',
]

/** After them the files that start programs. */
const SLOW = /^test\/(packaging|conformance|python|browser|cli|documents|demo|sandbox|agents|vault)\//

export default class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const placeOf = ({ moduleId }: TestSpecification) => {
      const path = relative(this.ctx.config.root, moduleId)
      const place = LONGEST.findIndex((one) => path.startsWith(one))
      return place >= 0 ? place : LONGEST.length + (SLOW.test(path) ? 0 : 1)
    }
    // Largest first among those of one place: the sort is stable.
    const largestFirst = await super.sort(files)
    return largestFirst.toSorted((one, other) => placeOf(one) - placeOf(other))
  }
}
