import { Suspense } from "react"
import { requireSession } from "../../lib/auth"
import { rename, signOut, signOutEverywhere } from "./actions"
import { Profile } from "./profile"
import { Sessions } from "./sessions"

export default async function AccountPage() {
  await requireSession("/account")
  return (
    <>
      <h1>Your account</h1>
      <Suspense fallback={<p className="hint">Loading…</p>}><Profile /></Suspense>
      <form className="row" action={rename}>
        <input name="name" aria-label="Name" placeholder="Your name" maxLength={100} required />
        <button className="quiet">Save name</button>
      </form>
      <h2>Your sessions</h2>
      <Suspense fallback={<p className="hint">Loading…</p>}><Sessions /></Suspense>
      <div className="actions">
        <form action={signOut}><button>Sign out</button></form>
        <form action={signOutEverywhere}><button className="quiet">Sign out everywhere</button></form>
      </div>
    </>
  )
}
