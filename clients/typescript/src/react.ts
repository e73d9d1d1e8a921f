import { useSyncExternalStore } from "react"
import type { Client, Snapshot } from "./index.js"

/** What is known of the session; the component is drawn again when it changes. */
export function useSession(client: Pick<Client, "onChange" | "getSnapshot">): Snapshot {
  return useSyncExternalStore(client.onChange, client.getSnapshot, client.getSnapshot)
}
