import { isAxiosError } from 'axios'
import { useId, useState, type FormEvent, type InputHTMLAttributes, type ReactNode } from 'react'
import type { Entered } from './account'

/** Returns the text that the page shows for an error: the server's message, if there is one. */
export function errorMessage(error: unknown): string {
  if (!isAxiosError(error)) return error instanceof Error ? error.message : String(error)
  if (!error.response) return "The server can't be reached. Try again."
  const { feedback, error: reason } = error.response.data ?? {}
  return feedback ?? rejectedFields(error)[0]?.msg ?? reason ?? `The server responded ${error.response.status}.`
}

function rejectedFields(error: unknown): { msg: string; path: string }[] {
  const reason = isAxiosError(error) && error.response?.data?.error
  return Array.isArray(reason) ? reason : []
}

interface FormProps {
  button: string
  /** Called with the values. A returned text replaces the form. */
  onSubmit(entered: Entered): Promise<string | void>
  children(wrong: (field: string) => boolean): ReactNode
}

/** A form that the server validates. It shows the server's messages. */
export function Form({ button, onSubmit, children }: FormProps) {
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const [done, setDone] = useState<string>()

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    setBusy(true)
    setError(undefined)
    try {
      setDone((await onSubmit(Object.fromEntries(new FormData(event.currentTarget)))) ?? undefined)
    } catch (fault) {
      setError(fault)
    }
    setBusy(false)
  }

  if (done) return <p role="status" className="notice">{done}</p>
  return (
    <form onSubmit={submit} noValidate aria-busy={isBusy}>
      {children((field) => rejectedFields(error).some(({ path }) => path === field))}
      <p role="alert" className="bad">{error !== undefined && errorMessage(error)}</p>
      <button type="submit" disabled={isBusy}>{button}</button>
    </form>
  )
}

interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  name: string
  label: string
  hint?: string
  isWrong: boolean
}

export function Field({ label, hint, isWrong, ...input }: FieldProps) {
  const id = useId()
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input id={id} aria-invalid={isWrong || undefined} aria-describedby={hint && `${id}-hint`} {...input} />
      {hint && <p id={`${id}-hint`} className="hint">{hint}</p>}
    </div>
  )
}
