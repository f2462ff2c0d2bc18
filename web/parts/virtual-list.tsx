/** A list of any length: only the visible rows are rendered. All rows have the same height, except an open one. */
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import './virtual-list.css'

/** Rows rendered above and below the visible ones, so that fast scrolling finds them ready. */
const SPARE = 12

export function VirtualList(props: {
  label: string
  /** Newest first; rows added at the top do not move the ones being read. */
  count: number
  /** Increases by one with every row that is added at the top. */
  added: number
  rowHeight: number
  /** Index of the open row and the height of its details. */
  open: { index: number; height: number } | null
  row: (index: number) => ComponentChildren
  /** Called when the last row becomes visible. */
  onEnd?: () => void
}) {
  const { count, rowHeight, open } = props
  const box = useRef<HTMLDivElement>(null)
  const top = useSignal(0)
  const height = useSignal(400)
  const seen = useRef(props.added)

  useLayoutEffect(() => {
    const element = box.current!
    const observer = new ResizeObserver(() => {
      height.value = element.clientHeight
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [])

  useLayoutEffect(() => {
    const element = box.current!
    const came = props.added - seen.current
    seen.current = props.added
    if (came > 0 && element.scrollTop > 0) element.scrollTop += came * rowHeight
  }, [props.added])

  useLayoutEffect(() => {
    if (!open) return
    const element = box.current!
    const at = open.index * rowHeight
    const isInSight =
      at >= element.scrollTop && at + rowHeight + open.height <= element.scrollTop + element.clientHeight
    if (!isInSight) element.scrollTop = Math.max(0, at - rowHeight * 2)
  }, [open?.index === undefined])

  const offset = (index: number) => index * rowHeight + (open && index > open.index ? open.height : 0)
  const first = Math.max(0, Math.floor((top.value - (open?.height ?? 0)) / rowHeight) - SPARE)
  const last = Math.min(count, Math.ceil((top.value + height.value) / rowHeight) + SPARE)
  const total = count * rowHeight + (open ? open.height : 0)
  const indexes = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i)
  return (
    <div
      ref={box}
      class="scroll virtual"
      role="log"
      aria-live="off"
      aria-label={props.label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
      tabIndex={0}
      onScroll={({ currentTarget }) => {
        top.value = currentTarget.scrollTop
        const left = currentTarget.scrollHeight - currentTarget.scrollTop - currentTarget.clientHeight
        if (left < rowHeight * 4) props.onEnd?.()
      }}
    >
      <div class="all" style={{ height: `${total}px` }}>
        {indexes.map((index) => (
          <div key={count - index} class="at" style={{ top: `${offset(index)}px` }}>
            {props.row(index)}
          </div>
        ))}
      </div>
    </div>
  )
}
