import { expect, test } from 'vitest'
import { configSchema } from '../../src/config/schema.ts'
import { Safety } from '../../src/redaction/safety.ts'

const { safety: settings } = configSchema.parse({})

test("an empty secret is none of the server's own, and a short one is in no longer text", () => {
  const safety = new Safety(settings, ['', '1', 'smtp-password-7'])
  expect(['jane@acme.com', '415-733-2671', '11', ''].map((value) => safety.isOwnSecret(value))).toEqual(
    Array(4).fill(false),
  )
  expect(['1', 'smtp-password-7', 'x smtp-password-7 x'].map((value) => safety.isOwnSecret(value))).toEqual(
    Array(3).fill(true),
  )
})
