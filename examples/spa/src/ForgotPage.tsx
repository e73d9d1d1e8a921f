import { client, serverURL } from './client'
import { Field, Form, text } from './form'

export function ForgotPage() {
  return (
    <>
      <p>We will email you a link to choose a new password. Then sign in here with it.</p>
      <Form
        button="Send the link"
        onSubmit={(entered) => client.forgot({ email: text(entered, 'email') })}
        done={
          <p className="notice">
            If there is an account with this address, a mail is on its way. Here it goes to the{' '}
            <a href={`${serverURL}/dev/mail`}>development mailbox</a>.
          </p>
        }
      >
        {(faults) => (
          <Field name="email" label="E-mail" type="email" autoComplete="username" required fault={faults.email} />
        )}
      </Form>
      <p><a href="#/sign-in">Back to sign in</a></p>
    </>
  )
}
