"use client"

import { useActionState } from "react"
import { signIn } from "./actions"

/** The form works without JavaScript, too: Next.js then handles it as a plain POST. */
export function SignInForm({ to }: { to: string }) {
  const [{ email, message, fields = {} }, action, isPending] = useActionState(signIn, {})
  return (
    <form action={action}>
      <h1>Sign in</h1>
      <p className="bad" role="alert">{message}</p>
      <input type="hidden" name="to" value={to} />
      <label htmlFor="email">Email</label>
      <input id="email" name="email" type="email" autoComplete="username" required defaultValue={email}
        aria-invalid={fields.email ? true : undefined} aria-describedby="email-hint" />
      <p className="bad hint" id="email-hint">{fields.email}</p>
      <label htmlFor="password">Password</label>
      <input id="password" name="password" type="password" autoComplete="current-password" required
        aria-invalid={fields.password ? true : undefined} aria-describedby="password-hint" />
      <p className="bad hint" id="password-hint">{fields.password}</p>
      <label className="choice"><input name="remember" type="checkbox" defaultChecked /> Stay signed in</label>
      <button name="intent" value="login" disabled={isPending}>Sign in</button>
      <button className="quiet" name="intent" value="register" disabled={isPending}>Create an account</button>
    </form>
  )
}
