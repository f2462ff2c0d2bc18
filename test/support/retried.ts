import type { Reporter, TestCase } from 'vitest/node'

/** Names the tests that passed only when they were tried again, and why they failed before: a race is not to be forgotten. */
export default class Retried implements Reporter {
  onTestCaseResult(test: TestCase): void {
    const { state, errors } = test.result()
    if (state !== 'passed' || !test.diagnostic()?.retryCount) return
    console.log(`passed only when tried again: ${test.module.relativeModuleId} > ${test.fullName}`)
    for (const { message, stack } of errors ?? []) console.log(stack ?? message)
  }
}
