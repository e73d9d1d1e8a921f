// The page's session. It is in memory only. A reload restores it with the cookie.
import { useSyncExternalStore } from 'react'

export type Session =
  | { status: 'unknown' } // before the first response of the server
  | { status: 'loggedOut'; notice?: string }
  | { status: 'loggedIn'; accessToken: string }

let current: Session = { status: 'unknown' }
const listeners = new Set<() => void>()

export const session = (): Session => current

export function change(next: Session): void {
  current = next
  for (const listener of listeners) listener()
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export const useSession = (): Session => useSyncExternalStore(subscribe, session)
