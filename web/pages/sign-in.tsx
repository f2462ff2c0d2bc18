/** The screen without a session: how to get a link, and a sign-in form. */
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { Empty, faultText, Mark } from '../parts/parts.tsx'
import { ApiError, refusal, signIn } from '../session.ts'
import './sign-in.css'

/** `children`: how to get a link. */
export function SignIn({ title, children }: { title: string; children: ComponentChildren }) {
  const isWaiting = useSignal(false)
  const fault = useSignal<string | null>(null)
  const submit = async (event: SubmitEvent) => {
    // The form itself must not submit: the content security policy forbids it.
    event.preventDefault()
    const { username, password } = Object.fromEntries(new FormData(event.currentTarget as HTMLFormElement))
    isWaiting.value = true
    fault.value = null
    try {
      await signIn(String(username), String(password))
    } catch (error) {
      const isWrong = error instanceof ApiError && error.status === 401
      fault.value = isWrong ? 'Wrong user name or password.' : faultText(error)
    }
    isWaiting.value = false
  }
  return (
    <main class="sign-in-page">
      <Mark />
      <Empty title={refusal.value?.title ?? title}>
        {refusal.value && <p>{refusal.value.text}</p>}
        {children}
        <form class="sign-in" onSubmit={submit}>
          <p>Or sign in:</p>
          <label>
            User name
            <input name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required />
          </label>
          <label>
            Password
            <input name="password" type="password" autocomplete="current-password" required />
          </label>
          <button type="submit" class="btn primary" disabled={isWaiting.value}>
            {isWaiting.value ? 'Signing in …' : 'Sign in'}
          </button>
          <p class="fault" role="alert">
            {fault.value}
          </p>
        </form>
      </Empty>
    </main>
  )
}
