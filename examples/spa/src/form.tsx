import { WatchwordError } from '@watchword/client'
import { useId, useState, type InputHTMLAttributes, type ReactNode } from 'react'

export function errorMessage(error: unknown): string {
  return error instanceof WatchwordError ? error.message : 'Something went wrong. Reload the page.'
}

interface FormProps {
  button: string
  /** Receives the fields by name. */
  onSubmit(entered: FormData): Promise<unknown>
  /** Shown in place of the form after a success. */
  done?: ReactNode
  children(faults: Record<string, string>): ReactNode
}

/** A form. It is disabled during a request, and shows the server's message for each field. */
export function Form({ button, onSubmit, done, children }: FormProps) {
  const [state, setState] = useState<'ready' | 'busy' | 'done'>('ready')
  const [error, setError] = useState<unknown>()
  const fields = error instanceof WatchwordError ? error.fields : []

  async function submit(event: React.FormEvent<HTMLFormElement>) {
    event.preventDefault()
    setState('busy')
    setError(undefined)
    try {
      await onSubmit(new FormData(event.currentTarget))
      setState('done')
    } catch (fault) {
      setError(fault)
      setState('ready')
    }
  }

  if (state === 'done' && done) return <div role="status">{done}</div>
  return (
    <form onSubmit={submit} aria-busy={state === 'busy'}>
      <p role="alert" className="bad">{error !== undefined && fields.length === 0 && errorMessage(error)}</p>
      {children(Object.fromEntries(fields.map((fault) => [fault.field, fault.message])))}
      <button type="submit" disabled={state === 'busy'}>{button}</button>
    </form>
  )
}

interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  name: string
  label: string
  hint?: string
  fault?: string | undefined
}

export function Field({ label, hint, fault, ...input }: FieldProps) {
  const id = useId()
  return (
    <>
      <label htmlFor={id}>{label}</label>
      <input id={id} aria-invalid={fault ? true : undefined} aria-describedby={`${id}-hint ${id}-fault`} {...input} />
      {hint && !fault && <p id={`${id}-hint`} className="hint">{hint}</p>}
      <p id={`${id}-fault`} className="bad" role="alert">{fault}</p>
    </>
  )
}

export const text = (entered: FormData, name: string): string => String(entered.get(name) ?? '')
