/** Layout that looks broken to a reader, measured on the boxes of the texts, so that it holds for any font. */
import type { Page } from 'playwright-core'

/** Texts that are cut off with no way to read them whole, and texts printed over each other; empty for a sound page. */
export function brokenTexts(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    /** Antialiasing and rounded line heights. */
    const TOLERANCE = 2
    const SCROLLS = /auto|scroll/
    interface Box {
      text: string
      element: Element
      left: number
      top: number
      right: number
      bottom: number
    }
    const shorten = (text: string) => `“${text.trim().replaceAll(/\s+/g, ' ').slice(0, 40)}”`
    /** Shown in full elsewhere: in a tip, or by opening the row. */
    const isExplained = (element: Element) => element.closest('[title]:not([title=""]), [aria-expanded]') !== null
    const broken: string[] = []

    /** Read once for each element, since many texts have the same ones around them. */
    const looks = new Map<Element, { isHidden: boolean; overflowX: string; overflowY: string; frame: DOMRect }>()
    const lookOf = (element: Element) => {
      let look = looks.get(element)
      if (!look) {
        const { visibility, opacity, clipPath, overflowX, overflowY } = getComputedStyle(element)
        // With a clip path it is for screen readers only.
        const isHidden = visibility !== 'visible' || opacity === '0' || clipPath !== 'none'
        look = { isHidden, overflowX, overflowY, frame: element.getBoundingClientRect() }
        looks.set(element, look)
      }
      return look
    }

    /** The visible part of a text; records parts that are cut off without an explanation. */
    const clip = (box: Box): Box | null => {
      const seen = { ...box }
      for (let at: Element | null = box.element; at; at = at.parentElement) {
        const { isHidden, overflowX, overflowY, frame } = lookOf(at)
        if (isHidden) return null
        if (overflowX !== 'visible') {
          const isCut = seen.right > frame.right + TOLERANCE || seen.left < frame.left - TOLERANCE
          if (isCut && !SCROLLS.test(overflowX) && !isExplained(box.element)) {
            broken.push(`cut: ${shorten(box.text)} in .${at.className}`)
          }
          seen.left = Math.max(seen.left, frame.left)
          seen.right = Math.min(seen.right, frame.right)
        }
        if (overflowY !== 'visible') {
          seen.top = Math.max(seen.top, frame.top)
          seen.bottom = Math.min(seen.bottom, frame.bottom)
        }
        if (seen.right - seen.left <= TOLERANCE || seen.bottom - seen.top <= TOLERANCE) return null
      }
      return seen
    }

    const boxes: Box[] = []
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    const range = document.createRange()
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.textContent ?? ''
      const element = node.parentElement
      if (!text.trim() || !element || /SCRIPT|STYLE|OPTION/.test(element.tagName)) continue
      range.selectNodeContents(node)
      for (const { left, top, right, bottom } of range.getClientRects()) {
        const seen = clip({ text, element, left, top, right, bottom })
        if (seen) boxes.push(seen)
      }
    }
    boxes.sort((a, b) => a.top - b.top)
    for (const [index, box] of boxes.entries()) {
      for (let next = index + 1; next < boxes.length && boxes[next]!.top < box.bottom - TOLERANCE; next++) {
        const other = boxes[next]!
        const width = Math.min(box.right, other.right) - Math.max(box.left, other.left)
        const height = Math.min(box.bottom, other.bottom) - other.top
        // Lines of one paragraph share a pixel or two of leading; overprinted text shares half a line.
        if (other.element !== box.element && width > TOLERANCE && height > (box.bottom - box.top) / 3) {
          broken.push(`overprinted: ${shorten(box.text)} and ${shorten(other.text)}`)
        }
      }
    }
    return [...new Set(broken)]
  })
}

/** Widens every text, as a font that is wider than those of this machine would. */
export const widenFonts = (page: Page): Promise<void> => addStyle(page, '* { letter-spacing: 0.04em !important }')

/** In a sheet that a script creates: the content security policy allows no other. */
export async function addStyle(page: Page, style: string): Promise<void> {
  await page.evaluate((text) => {
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(text)
    document.adoptedStyleSheets.push(sheet)
  }, style)
}
