import { requireSession } from "../../lib/auth"
import { rename, signOut, signOutEverywhere } from "./actions"
import { Profile } from "./profile"
import { Sessions } from "./sessions"

// This page must work without JavaScript, so it has no Suspense: the browser needs JavaScript to show parts that
// arrive later.
export default async function AccountPage() {
  await requireSession("/account")
  return (
    <>
      <h1>Your account</h1>
      <Profile />
      <form action={rename}>
        <label htmlFor="name">Change your name</label>
        <div className="row">
          <input id="name" name="name" autoComplete="name" maxLength={100} required />
          <button className="quiet">Save name</button>
        </div>
      </form>
      <h2>Your sessions</h2>
      <Sessions />
      <div className="actions">
        <form action={signOut}><button>Sign out</button></form>
        <form action={signOutEverywhere}><button className="quiet">Sign out everywhere</button></form>
      </div>
    </>
  )
}
