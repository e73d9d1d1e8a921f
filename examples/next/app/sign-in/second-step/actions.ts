"use server"

import { WatchwordError } from "@watchword/client/server"
import { redirect } from "next/navigation"
import { writableAuth } from "../../../lib/auth"
import { ownPath } from "../path"

/** Completes the sign-in with a six-digit code of the app, or with a recovery code. */
export async function secondStep(_: { message?: string }, form: FormData): Promise<{ message?: string }> {
  const [to, code] = [ownPath(form.get("to")), String(form.get("code")).replace(/\s/g, "")]
  const proof = /^\d{6}$/.test(code) ? { totp: code } : { recoveryCode: code }
  try {
    const auth = await writableAuth()
    await auth.loginFactor({ ...proof, rememberDevice: form.get("remember") === "on" })
  } catch (error) {
    if (!(error instanceof WatchwordError)) throw error
    // The sign-in took too long, or there were too many wrong codes.
    if (error.code === "CHALLENGE_INVALID") redirect(`/sign-in?to=${encodeURIComponent(to)}`)
    return { message: error.message }
  }
  redirect(to)
}
