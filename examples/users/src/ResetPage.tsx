import { resetPassword } from './account'
import { Field, Form } from './form'
import { resetToken } from './resetToken'
import { go, Link } from './route'

export function ResetPage() {
  return (
    <>
      {resetToken ? (
        <Form button="Save" onSubmit={(entered) => resetPassword(resetToken!, entered).then(() => go('/login'))}>
          {(wrong) => (
            <>
              <Field
                name="password"
                label="New password"
                type="password"
                autoComplete="new-password"
                isWrong={wrong('password')}
                hint="At least 8 characters. Several words in a row make a good password."
              />
              <Field
                name="passwordConfirm"
                label="New password again"
                type="password"
                autoComplete="new-password"
                isWrong={wrong('passwordConfirm')}
              />
            </>
          )}
        </Form>
      ) : (
        <p>Open the link in the mail once more: reloading this page has removed it.</p>
      )}
      <p><Link to="/forgotpass">Ask for another link</Link></p>
    </>
  )
}
