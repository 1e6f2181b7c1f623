import { existsSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** The system's Chromium, without a window. Throws when `npm run engines` has not been run. */
export function launch(): Promise<Browser> {
  const folders = [resolve(import.meta.dirname, '../../.engines/bin'), ...(process.env['PATH'] ?? '').split(delimiter)]
  const executablePath = folders.map((folder) => join(folder, 'chromium')).find((file) => existsSync(file))
  if (executablePath === undefined) throw new Error('there is no chromium: npm run engines -- chromium')
  return chromium.launch({ executablePath, headless: true, args: flags })
}

/** A page of its own, and everything that went wrong on it: errors of the console, of scripts and of requests. */
export interface Watched {
  readonly page: Page
  readonly wrong: string[]
}

export async function watched(browser: Browser, options: BrowserContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext({ timezoneId: 'UTC', locale: 'en-GB', ...options })
  const page = await context.newPage()
  const wrong: string[] = []
  page.on('console', (message) => void (message.type() === 'error' && wrong.push(message.text())))
  page.on('pageerror', (error) => void wrong.push(String(error)))
  page.on('requestfailed', (request) => void wrong.push(`${request.url()} ${request.failure()?.errorText ?? ''}`))
  return { page, wrong }
}
