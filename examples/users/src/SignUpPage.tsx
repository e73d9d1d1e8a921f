import { signUp, type Entered } from './account'
import { Field, Form } from './form'
import { Link } from './route'

/** Compares the passwords here, because the server ignores the confirmation. */
async function submit(entered: Entered): Promise<string | void> {
  if (entered.password !== entered.passwordConfirm) throw new Error('Passwords DO NOT match')
  return signUp(entered)
}

export function SignUpPage() {
  return (
    <>
      <Form button="Sign up" onSubmit={submit}>
        {(wrong) => (
          <>
            <div className="pair">
              <Field name="firstName" label="First name" autoComplete="given-name" isWrong={wrong('firstName')} />
              <Field name="lastName" label="Last name" autoComplete="family-name" isWrong={wrong('lastName')} />
            </div>
            <Field name="email" label="E-mail" type="email" autoComplete="username" isWrong={wrong('email')} />
            <Field
              name="password"
              label="Password"
              type="password"
              autoComplete="new-password"
              isWrong={wrong('password')}
              hint="At least 8 characters. Several words in a row make a good password."
            />
            <Field
              name="passwordConfirm"
              label="Password again"
              type="password"
              autoComplete="new-password"
              isWrong={wrong('passwordConfirm')}
            />
          </>
        )}
      </Form>
      <p>Have an account already? <Link to="/login">Log in</Link></p>
    </>
  )
}
