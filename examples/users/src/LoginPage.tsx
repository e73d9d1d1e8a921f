import { logIn } from './account'
import { Field, Form } from './form'
import { Link } from './route'

export function LoginPage({ notice }: { notice: string | undefined }) {
  return (
    <>
      {notice && <p role="status" className="notice">{notice}</p>}
      <Form button="Log in" onSubmit={logIn}>
        {(wrong) => (
          <>
            <Field name="email" label="E-mail" type="email" autoComplete="username" isWrong={wrong('email')} />
            <Field
              name="password"
              label="Password"
              type="password"
              autoComplete="current-password"
              isWrong={wrong('password')}
            />
          </>
        )}
      </Form>
      <p className="links">
        <Link to="/forgotpass">Forgot your password?</Link>
        <span>New here? <Link to="/signup">Sign up</Link></span>
      </p>
    </>
  )
}
