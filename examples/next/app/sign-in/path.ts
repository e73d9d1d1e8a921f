import { origin } from "../../lib/watchword"

/** Returns the path only if it belongs to this application, so that a link can't redirect to another site. */
export function ownPath(to: unknown): string {
  if (typeof to !== "string" || !URL.canParse(to, origin)) return "/account"
  const url = new URL(to, origin)
  return url.origin === origin ? url.pathname + url.search : "/account"
}
