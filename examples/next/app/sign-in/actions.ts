"use server"

import { WatchwordError } from "@watchword/client/server"
import { redirect } from "next/navigation"
import { writableAuth } from "../../lib/auth"
import { ownPath } from "./path"

export interface FormState {
  email?: string
  message?: string
  /** The server's message for each rejected field. */
  fields?: Record<string, string>
}

/** Redirects to an external provider, which redirects back to app/sign-in/return. */
export async function signInWith(form: FormData): Promise<void> {
  const to = encodeURIComponent(ownPath(form.get("to")))
  redirect(await (await writableAuth()).signInWith(String(form.get("provider")), `/sign-in/return?to=${to}`))
}

/** Signs in. With the second button of the form, it creates an account instead. */
export async function signIn(_: FormState, form: FormData): Promise<FormState> {
  const [email, password] = [String(form.get("email")), String(form.get("password"))]
  const to = ownPath(form.get("to"))
  try {
    const auth = await writableAuth()
    if (form.get("intent") === "register") {
      const result = await auth.register({ email, password })
      if ("message" in result) return { email, message: result.message } // the user must confirm the address first
    } else {
      await auth.login({ email, password, remember: form.get("remember") === "on" })
    }
  } catch (error) {
    if (!(error instanceof WatchwordError)) throw error
    if (error.code === "SECOND_FACTOR_REQUIRED") redirect(`/sign-in/second-step?to=${encodeURIComponent(to)}`)
    const fields = Object.fromEntries(error.fields.map(({ field, message }) => [field, message]))
    return { email, fields, message: error.message }
  }
  redirect(to) // redirect throws, so it is not in the try block
}
