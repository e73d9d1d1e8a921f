import { redirect } from "next/navigation"
import { auth } from "../../lib/auth"
import { SignInForm } from "./form"
import { pathOf } from "./path"

export default async function SignInPage({ searchParams }: { searchParams: Promise<{ to?: string | string[] }> }) {
  const to = pathOf((await searchParams).to)
  if (await (await auth()).session()) redirect(to)
  return <SignInForm to={to} />
}
