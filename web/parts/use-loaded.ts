/** Loads something from the server for a component, again when `path` changes. */
import { type Signal, useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { send } from '../session.ts'
import { faultText } from './parts.tsx'

export interface Loaded<T> {
  /** Null until it has arrived. */
  value: Signal<T | null>
  fault: Signal<string | null>
  reload: () => Promise<void>
}

export function useLoaded<T>(path: string): Loaded<T> {
  const value = useSignal<T | null>(null)
  const fault = useSignal<string | null>(null)
  /** A slower answer to an earlier request is dropped. */
  const wanted = useRef(path)
  wanted.current = path
  const reload = async () => {
    fault.value = null
    try {
      const answer = await send<T>('GET', path)
      if (wanted.current === path) value.value = answer
    } catch (error) {
      if (wanted.current === path) fault.value = faultText(error)
    }
  }
  useEffect(() => void reload(), [path])
  return { value, fault, reload }
}
