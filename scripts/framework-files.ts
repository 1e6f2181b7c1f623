import { readdirSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { z } from 'zod'
import { coverageWords, type Coverage, type FrameworkData } from '../src/evidence/frameworks.ts'

const folder = new URL('../src/evidence/frameworks/', import.meta.url)
const controlsFile = 'controls.yaml'

const name = z.string().regex(/^[a-z0-9-]+$/)
const line = z.string().regex(/^[^\n|]+$/, 'one line, without |')
const rule = z.string().regex(/^[a-z]+(\.[a-z-]+)?$/)
const testFile = z.string().regex(/^test\/[a-z0-9/-]+\.test\.ts$/)

const row = z.strictObject({
  id: line,
  title: line,
  status: z.enum(Object.keys(coverageWords) as [Coverage, ...Coverage[]]),
  controls: z.array(name),
  rules: z.array(rule),
  tests: z.array(testFile),
  cases: z.array(z.string()).default([]),
  level: z.int().min(1).max(3).optional(),
  query: z
    .string()
    .regex(/^countersign [^\n]+$/)
    .optional(),
  note: line,
})

const framework = z.strictObject({
  framework: name,
  title: line,
  version: line,
  date: z.string().regex(/^\d{4}(-\d\d){0,2}$/),
  source: line,
  annotation: z
    .string()
    .regex(/^[a-z_]+$/)
    .optional(),
  label: z.string().default(''),
  whole: z.boolean().default(false),
  note: z.string().default(''),
  rows: z.array(row).min(1),
})

const controls = z.strictObject({
  controls: z.array(
    z.strictObject({
      id: name,
      title: line,
      about: line,
      page: z.string().regex(/^[a-z-]+\.md$/),
      rules: z.array(rule),
      codes: z.array(z.string()),
      events: z.array(z.string()),
      cases: z.array(z.string()),
      tests: z.array(testFile),
    }),
  ),
})

/** Reads src/evidence/frameworks/ and holds it to its form. Throws with the file that is not so. */
export function frameworkData(): FrameworkData {
  const names = readdirSync(folder)
    .filter((file) => file.endsWith('.yaml') && file !== controlsFile)
    .sort()
  return {
    frameworks: names.map((file) => {
      const { label, annotation, rows, ...rest } = read(framework, file)
      const of = rest.framework
      return {
        ...rest,
        annotation: annotation ?? null,
        rows: rows.map(({ level, query, ...one }) => ({
          framework: of,
          label: `${label}${one.id}`,
          ...one,
          level: level ?? null,
          query: query ?? null,
        })),
      }
    }),
    controls: read(controls, controlsFile).controls,
  }
}

function read<T>(form: z.ZodType<T>, file: string): T {
  const found = form.safeParse(parse(readFileSync(new URL(file, folder), 'utf8')))
  if (!found.success) throw new Error(`${file}: ${z.prettifyError(found.error)}`)
  return found.data
}

/** The text of rego/frameworks.json. */
export function frameworkText(data: FrameworkData): string {
  return `${JSON.stringify(data, null, 1)}\n`
}
