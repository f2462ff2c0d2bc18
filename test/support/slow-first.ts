import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What starts programs takes longest, whatever the size of its file: last, it would be waited for alone. */
const SLOW = /^test\/(packaging|conformance|python|browser|cli|documents|examples|demo|sandbox|agents|vault)\b/

export default class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isSlow = ({ moduleId }: TestSpecification) => SLOW.test(relative(this.ctx.config.root, moduleId))
    const largestFirst = await super.sort(files)
    return [...largestFirst.filter(isSlow), ...largestFirst.filter((file) => !isSlow(file))]
  }
}
