import { forgotPassword } from './account'
import { serverURL } from './api'
import { Field, Form } from './form'
import { Link } from './route'

export function ForgotPage() {
  return (
    <>
      <p>We will email you a link to choose a new password.</p>
      <Form button="Send the link" onSubmit={forgotPassword}>
        {(wrong) => <Field name="email" label="E-mail" type="email" autoComplete="username" isWrong={wrong('email')} />}
      </Form>
      <p className="links">
        <Link to="/login">Back to log in</Link>
        <a href={`${serverURL}/dev/mail`}>Development mailbox</a>
      </p>
    </>
  )
}
