/** A dialog with fields. The browser's own: it keeps the focus, and Escape closes it. */
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { parseAmount } from '../../src/core/money.ts'
import { ApiError } from '../session.ts'
import { Fault, faultText } from './parts.tsx'
import './dialog.css'

export function Dialog(props: {
  title: string
  /** The label of the submit button. */
  submit: string
  isDanger?: boolean
  isReady?: boolean
  /** Receives the fields by name. The dialog closes when it resolves, and shows the error when it rejects. */
  act: (fields: FormData) => Promise<unknown>
  onClose: () => void
  children: ComponentChildren
}) {
  const dialog = useRef<HTMLDialogElement>(null)
  const isWaiting = useSignal(false)
  const fault = useSignal<string | null>(null)
  useLayoutEffect(() => dialog.current?.showModal(), [])
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    isWaiting.value = true
    fault.value = null
    try {
      await props.act(new FormData(event.currentTarget as HTMLFormElement))
      props.onClose()
    } catch (error) {
      fault.value = faultText(error)
      isWaiting.value = false
    }
  }
  return (
    <dialog ref={dialog} class="ask" aria-labelledby="dialog-title" onClose={props.onClose}>
      <form onSubmit={submit} onInput={() => (fault.value = null)}>
        <h2 id="dialog-title">{props.title}</h2>
        {props.children}
        <Fault text={fault.value} />
        <div class="buttons">
          <button
            type="submit"
            class={`btn ${props.isDanger ? 'danger' : 'primary'}`}
            disabled={isWaiting.value || props.isReady === false}
          >
            {props.submit}
          </button>
          <button type="button" class="btn ghost" onClick={props.onClose}>
            Cancel
          </button>
        </div>
      </form>
    </dialog>
  )
}

/** An amount of dollars that was typed. Throws ApiError for anything else. */
export function amountOf(fields: FormData, name: string): string {
  const text = String(fields.get(name))
  if (parseAmount(text) === undefined)
    throw new ApiError(400, `“${text}” is not an amount in dollars`, 'write it as 25 or 25.00')
  return text
}
