import type { Reporter, TestModule } from 'vitest/node'
import type {} from './processor-time.ts'

const LISTED = 20

/** Lists the files that took most of the processor's time, when more ran than the list has room for. */
export default class Slowest implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    if (modules.length <= LISTED) return
    const files = modules
      .map((module) => ({
        name: module.relativeModuleId,
        processor: module.meta().processorSeconds ?? 0,
        passed: (module.diagnostic().collectDuration + module.diagnostic().duration) / 1000,
      }))
      .toSorted((one, other) => other.processor - one.processor)
    const all = files.reduce((sum, { processor }) => sum + processor, 0)
    console.log(
      `\nThe slowest files of ${files.length}, which took ${all.toFixed(0)} s of the processor: its seconds, and how many passed`,
    )
    for (const { name, processor, passed } of files.slice(0, LISTED)) {
      console.log(`${processor.toFixed(1).padStart(7)} ${passed.toFixed(1).padStart(7)}  ${name}`)
    }
  }
}
