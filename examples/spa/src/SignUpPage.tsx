import { client } from './client'
import { Field, Form, text } from './form'

export function SignUpPage() {
  return (
    <>
      <Form
        button="Create an account"
        onSubmit={(entered) =>
          client.register({
            email: text(entered, 'email'),
            password: text(entered, 'password'),
            name: text(entered, 'name'),
          })
        }
        done={<p>Check your inbox: we emailed you the next step.</p>}
      >
        {(faults) => (
          <>
            <Field name="name" label="Name" autoComplete="name" maxLength={200} fault={faults.name} />
            <Field name="email" label="E-mail" type="email" autoComplete="username" required fault={faults.email} />
            <Field
              name="password"
              label="Password"
              type="password"
              autoComplete="new-password"
              required
              fault={faults.password}
              hint="At least 8 characters. Several words in a row make a good password."
            />
          </>
        )}
      </Form>
      <p>Have one already? <a href="#/sign-in">Sign in</a></p>
    </>
  )
}
