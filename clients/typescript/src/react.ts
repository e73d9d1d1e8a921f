"use client" // for frameworks with server components: the hook needs the browser

import { useSyncExternalStore } from "react"
import type { Client, Snapshot } from "./index.js"

/** Returns the client's snapshot, and renders the component again when it changes. */
export function useSession(client: Pick<Client, "onChange" | "getSnapshot">): Snapshot {
  return useSyncExternalStore(client.onChange, client.getSnapshot, client.getSnapshot)
}
