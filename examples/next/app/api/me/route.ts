import { writableAuth } from "../../../lib/auth"

export async function GET() {
  const session = await (await writableAuth()).session()
  if (!session) return Response.json({ error: "Sign in first." }, { status: 401 })
  return Response.json({ subject: session.subject, roles: session.roles })
}
