/** Questions to a page, in its own language: there are no types of a browser here. */

/** What is wrong with the form of a page: wider than its window, fields without a label, ids that stand twice, buttons too low to press. */
export const formOfPage = `(() => {
  const all = (selector) => [...document.querySelectorAll(selector)]
  const outer = (elements) => elements.map(({ outerHTML }) => outerHTML)
  const ids = all('[id]').map(({ id }) => id)
  return {
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    nameless: outer(all('input:not([type=hidden]),textarea,select').filter(({ labels }) => labels.length === 0)),
    twice: ids.filter((id, at) => ids.indexOf(id) !== at),
    low: outer(all('main button,main .button').filter(({ offsetHeight }) => offsetHeight > 0 && offsetHeight < 44)),
    headings: all('h1').length,
  }
})()`

/** The least contrast of any text on the page against what is behind it (WCAG 2.2 §1.4.3). */
export const leastContrast = `(() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number)
  const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4)
  const light = (colour) => {
    const [r, g, b] = channels(colour).map(linear)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const behind = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at)
      if (channels(backgroundColor)[3] !== 0) return backgroundColor
    }
    return 'rgb(255,255,255)'
  }
  const says = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '')
  const texts = [...document.querySelectorAll('body *')].filter((one) => one.offsetHeight > 0 && says(one))
  return Math.min(...texts.map((one) => {
    const [a, b] = [light(getComputedStyle(one).color), light(behind(one))]
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
  }))
})()`

/** What has the focus: its words, or its id. */
export const focused = `document.activeElement.innerText.trim() || document.activeElement.id`

/** What the policy of the page forbids, were text ever to get out of its place: answers when all four were told. */
export const forbidden = `new Promise((resolve) => {
  const told = new Set()
  document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => {
    if (told.add(effectiveDirective).size === 4) resolve([...told].sort())
  })
  const script = document.createElement('script')
  script.textContent = 'document.title="taken"'
  const style = document.createElement('style')
  style.textContent = 'body{display:none}'
  const picture = document.createElement('img')
  picture.src = '/x.png'
  document.body.append(script, style, picture)
  document.body.setAttribute('onclick', 'document.title="taken"')
  document.body.click()
})`
