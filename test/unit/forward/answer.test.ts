import { describe, expect, test } from 'vitest'
import { readAnswerHead } from '../../../src/forward/answer.ts'

describe('the type of an answer', () => {
  test.each([
    ['application/json', 'json'],
    ['text/json; charset=utf-8', 'json'],
    ['application/problem+json', 'json'],
    ['application/x-amz-json-1.0', 'json'],
    ['application/x-amz-json-1.1', 'json'],
    ['application/x-amz-json-2.0', 'other'],
    ['application/json; charset=utf-16', 'other'],
    ['application/jsonx', 'other'],
    ['text/event-stream', 'stream'],
  ])('%s is read as %s', (type, kind) => {
    expect(readAnswerHead('GET', 200, { 'content-type': type }).kind).toBe(kind)
  })
})
