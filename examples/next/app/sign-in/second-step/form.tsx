"use client"

import { useActionState } from "react"
import { secondStep } from "./actions"

export function SecondStepForm({ to, hasApp, days }: { to: string; hasApp: boolean; days: number }) {
  const [{ message }, action, isPending] = useActionState(secondStep, {})
  return (
    <form action={action}>
      <h1>Enter a code</h1>
      <p className="bad" role="alert">{message}</p>
      <input type="hidden" name="to" value={to} />
      <label htmlFor="code">{hasApp ? "Code of your authenticator app, or a recovery code" : "Recovery code"}</label>
      <input id="code" name="code" autoComplete="one-time-code" required autoFocus spellCheck={false} />
      {days > 0 && (
        <label className="choice">
          <input name="remember" type="checkbox" /> Don’t ask again in this browser for {days} days
        </label>
      )}
      <button disabled={isPending}>Continue</button>
    </form>
  )
}
