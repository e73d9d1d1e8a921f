import { requireSession } from "../../lib/auth"

export default async function AdminPage() {
  const session = await requireSession("/admin")
  if (!session.roles.includes("admin")) {
    return (
      <>
        <h1>For administrators</h1>
        <p>Your account does not have the role admin.</p>
      </>
    )
  }
  return (
    <>
      <h1>Administration</h1>
      <p className="good">You have the role admin.</p>
    </>
  )
}
