"use server"

import { revalidatePath } from "next/cache"
import { redirect } from "next/navigation"
import { requireSession, writableAuth } from "../../lib/auth"
import { watchwordUrl } from "../../lib/watchword"

export async function rename(form: FormData) {
  await requireSession("/account") // the session may have ended since the page was shown
  const auth = await writableAuth()
  const response = await auth.fetch(`${watchwordUrl}/api/auth/me`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name: form.get("name") }),
  })
  if (!response.ok) throw new Error(`the server responded ${response.status}`)
  revalidatePath("/account")
}

export async function signOut() {
  await (await writableAuth()).logout()
  redirect("/")
}

export async function signOutEverywhere() {
  await requireSession("/account")
  await (await writableAuth()).logout({ everywhere: true })
  redirect("/")
}
