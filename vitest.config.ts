import { defineConfig } from 'vitest/config'

/** Five projects: `npm cit` runs the first four; `engines` needs what `npm run engines` installs. */
export default defineConfig({
  test: {
    clearMocks: true,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // by default one core is left to the runner, which is half of a machine with two
    maxWorkers: '100%',
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts', 'test/repo.test.ts'] } },
      { extends: true, test: { name: 'conformance', include: ['test/conformance/**/*.test.ts'] } },
      { extends: true, test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 } },
      {
        extends: true,
        test: { name: 'fault', include: ['test/fault/**/*.test.ts'], testTimeout: 240_000, hookTimeout: 60_000, fileParallelism: false },
      },
      { extends: true, test: { name: 'engines', include: ['test/engines/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 120_000 } },
    ],
  },
})
