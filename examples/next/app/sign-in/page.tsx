import { redirect } from "next/navigation"
import { auth } from "../../lib/auth"
import { SignInForm } from "./form"
import { ownPath } from "./path"
import { Providers } from "./providers"

/** Messages for the errors of a sign-in at a provider, by code. Each message says what to do next. */
const messages: Record<string, string> = {
  LINK_REQUIRED: "You have an account here. Sign in to it once to connect this provider.",
  PROVIDER_REFUSED: "The sign-in with the provider was not completed. Try again, or sign in in another way.",
  EMAIL_NOT_VERIFIED: "Check your inbox. We emailed you the next step.",
  ACCOUNT_DISABLED: "This account is disabled.",
  SIGNUP_CLOSED: "Sign-up is closed.",
}

type Query = Promise<{ to?: string | string[]; error?: string | string[] }>

export default async function SignInPage({ searchParams }: { searchParams: Query }) {
  const { to: wanted, error } = await searchParams
  const to = ownPath(wanted)
  const request = await auth()
  if (await request.session()) redirect(to)
  const providers = await request.providers().catch(() => []) // without the list, the form still works
  const message = typeof error === "string" ? (messages[error] ?? "This did not work. Try again.") : undefined
  return (
    <>
      {message && <p className="bad" role="alert">{message}</p>}
      <SignInForm to={to} />
      <Providers to={to} providers={providers} />
    </>
  )
}
