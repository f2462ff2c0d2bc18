import { send } from './session.ts'

/** Saves the response of a GET as a file. Throws ApiError. */
export async function download(path: string, name: string): Promise<void> {
  const answer = await send<unknown>('GET', path)
  const text = typeof answer === 'string' ? answer : JSON.stringify(answer, null, 2)
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text]))
  link.download = name
  link.click()
  URL.revokeObjectURL(link.href)
}
