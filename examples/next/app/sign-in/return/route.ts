import { WatchwordError } from "@watchword/client/server"
import { redirect } from "next/navigation"
import { writableAuth } from "../../../lib/auth"
import { ownPath } from "../path"

/**
 * The page to which an external provider redirects back, with a code in the URL. The page ends with a redirect, so
 * the URL with the code does not stay in the browser's history.
 */
export async function GET(request: Request): Promise<never> {
  const to = ownPath(new URL(request.url).searchParams.get("to"))
  const query = new URLSearchParams({ to })
  try {
    await (await writableAuth()).finishSignInWith(request.url)
  } catch (error) {
    if (!(error instanceof WatchwordError)) throw error
    if (error.code === "SECOND_FACTOR_REQUIRED") redirect(`/sign-in/second-step?${query}`)
    query.set("error", error.code)
    redirect(`/sign-in?${query}`)
  }
  redirect(to)
}
