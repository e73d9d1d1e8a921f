import type { WatchwordErrorCode } from '@watchword/client'
import { client } from './client'
import { Field, Form, text } from './form'
import { Providers } from './Providers'

function signOutNotice(reason: WatchwordErrorCode | undefined): string {
  switch (reason) {
    case 'REFRESH_REUSED':
      return (
        'You were signed out because an old copy of your session was used. ' +
        'If that was not you, choose a new password.'
      )
    case 'SESSION_ENDED':
    case 'REFRESH_INVALID':
      return 'Your session has ended. Sign in again.'
  }
  return '' // there was no session, or the user signed out
}

export function SignInPage({ reason }: { reason: WatchwordErrorCode | undefined }) {
  return (
    <>
      {signOutNotice(reason) && <p role="status" className="notice">{signOutNotice(reason)}</p>}
      <Form
        button="Sign in"
        onSubmit={(entered) =>
          client.login({
            email: text(entered, 'email'),
            password: text(entered, 'password'),
            remember: entered.has('remember'),
          })
        }
      >
        {(faults) => (
          <>
            <Field name="email" label="E-mail" type="email" autoComplete="username" required fault={faults.email} />
            <Field
              name="password"
              label="Password"
              type="password"
              autoComplete="current-password"
              required
              fault={faults.password}
            />
            <label className="choice">
              <input type="checkbox" name="remember" defaultChecked /> Stay signed in on this device
            </label>
          </>
        )}
      </Form>
      <Providers />
      <p><a href="#/forgot">Forgot your password?</a></p>
      <p>New here? <a href="#/sign-up">Create an account</a></p>
    </>
  )
}
