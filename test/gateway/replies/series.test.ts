import { expect, test } from 'vitest'
import { Series } from '../../../src/gateway/replies/series.ts'

test('a text continues everything before it; after a repeated text also the series without the repetition', () => {
  const series = new Series()
  expect(series.add('one')).toEqual([])
  expect(series.add('again')).toEqual(['one'])
  expect(series.add('two')).toEqual(['oneagain'])
  expect(series.add('again')).toEqual(['oneagaintwo'])
  expect(series.add('three')).toEqual(['oneagaintwoagain', 'oneagaintwo'])
})

test('the same text once more is known, unless it is so short that it may belong to the next', () => {
  const series = new Series()
  series.add('chatcmpl-1')
  expect(series.isLast('chatcmpl-1')).toBe(true)
  series.add('7')
  expect(series.isLast('7')).toBe(false)
})

test('a text that came in pieces goes on', () => {
  const series = new Series()
  series.continueFrom('jane@corp')
  expect(series.add('-canary.com')).toEqual(['jane@corp'])
  expect(series.joined).toBe('jane@corp-canary.com')
})
