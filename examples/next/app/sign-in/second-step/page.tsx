import { redirect } from "next/navigation"
import { auth } from "../../../lib/auth"
import { ownPath } from "../path"
import { SecondStepForm } from "./form"

/** Asks for the second factor. A cookie keeps the challenge, so the page can be loaded again. */
export default async function SecondStepPage({ searchParams }: { searchParams: Promise<{ to?: string | string[] }> }) {
  const to = ownPath((await searchParams).to)
  const challenge = (await auth()).challenge()
  if (!challenge) redirect(`/sign-in?to=${encodeURIComponent(to)}`)
  const days = Math.floor((challenge.rememberFor ?? 0) / (24 * 60 * 60))
  return <SecondStepForm to={to} hasApp={challenge.methods.includes("totp")} days={days} />
}
