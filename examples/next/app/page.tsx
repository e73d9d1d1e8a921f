import Link from "next/link"
import { auth } from "../lib/auth"

export default async function HomePage() {
  const session = await (await auth()).session()
  return (
    <>
      <h1>Rendered on the server</h1>
      <p>
        Every page of this application is rendered by Next.js. The tokens are in cookies that no script can read, and
        signing in works without JavaScript.
      </p>
      {session ? (
        <p>You are signed in. <Link href="/account">Go to your account</Link></p>
      ) : (
        <p>You are a visitor. <Link href="/sign-in">Sign in or create an account</Link></p>
      )}
    </>
  )
}
