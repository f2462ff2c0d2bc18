/** Curves over sizes from 1 to a million, as an SVG of two charts side by side that fits a light and a dark page. */

export interface Curve {
  name: string
  /** Count and value. */
  points: [count: number, value: number][]
}

export interface Chart {
  title: string
  curves: Curve[]
}

const WIDTH = 420
const HEIGHT = 240
const LEFT = 52
const RIGHT = 70
const TOP = 36
const BOTTOM = 32
const COLORS = ['#3b82c4', '#c2772c', '#4c9a5f']
const DECADES = 6

export function growthPicture(charts: readonly Chart[]): string {
  const drawn = charts.map((chart, index) => `<g transform="translate(${index * WIDTH} 0)">${drawChart(chart)}</g>`)
  const style =
    'text{font:12px system-ui,sans-serif;fill:#777}path{fill:none;stroke-width:2}.grid{stroke:#8884;stroke-width:1}'
  const size = `width="${WIDTH * charts.length}" height="${HEIGHT}" viewBox="0 0 ${WIDTH * charts.length} ${HEIGHT}"`
  const label = charts.map(({ title }) => title).join('; ')
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-label="${label}, as agents, events and calls grow"><style>${style}</style>${drawn.join('')}</svg>\n`
}

function drawChart({ title, curves }: Chart): string {
  const most = niceAbove(Math.max(...curves.flatMap(({ points }) => points.map(([, value]) => value))))
  const x = (count: number) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log10(count)) / DECADES
  const y = (value: number) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * value) / most
  const text = (at: [number, number], words: string, anchor: string, color = '') =>
    `<text x="${at[0].toFixed(0)}" y="${at[1].toFixed(0)}" text-anchor="${anchor}"${color && ` style="fill:${color}"`}>${words}</text>`
  const parts = [text([LEFT, 18], title, 'start')]
  for (const share of [0, 0.5, 1]) {
    parts.push(`<path class="grid" d="M${LEFT} ${y(most * share)}H${WIDTH - RIGHT}"/>`)
    parts.push(text([LEFT - 6, y(most * share) + 4], String(most * share), 'end'))
  }
  for (const [count, name] of [
    [1, '1'],
    [1_000, '1,000'],
    [1_000_000, '1,000,000'],
  ] as const)
    parts.push(text([x(count), HEIGHT - 10], name, 'middle'))
  curves.forEach(({ name, points }, index) => {
    const color = COLORS[index % COLORS.length]!
    const places = points.map(([count, value]) => [x(count), y(value)] as [number, number])
    const line = places.map(([left, top]) => `${left.toFixed(1)} ${top.toFixed(1)}`).join('L')
    parts.push(`<path d="M${line}" stroke="${color}"/>`)
    for (const [left, top] of places)
      parts.push(`<circle cx="${left.toFixed(1)}" cy="${top.toFixed(1)}" r="3" fill="${color}"/>`)
    const [left, top] = places.at(-1)!
    parts.push(text([left + 8, top + 4 + (index - 1) * 13], name, 'start', color))
  })
  return parts.join('')
}

/** The next of 1, 2 and 5 times a power of ten, so that the middle of the axis is a short number too. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return power * [1, 2, 5, 10].find((step) => step * power >= value)!
}
