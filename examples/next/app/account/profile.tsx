import { auth } from "../../lib/auth"

export async function Profile() {
  const user = await (await auth()).me()
  return (
    <dl>
      <dt>Email</dt><dd>{user.email}</dd>
      <dt>Name</dt><dd>{user.name || "—"}</dd>
      <dt>Roles</dt><dd>{user.roles.join(", ") || "none"}</dd>
    </dl>
  )
}
